import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mayCall } from './origins.ts'

const listed = ['https://app.example']

test('a page may call that is listed, or that came from the same door', () => {
  const open = { listed, tls: false }
  const secure = { listed, tls: true }

  const may = [
    mayCall('https://app.example', 'api.example', open),
    mayCall('http://127.0.0.1:18043', '127.0.0.1:18043', open),
    mayCall('http://localhost:18043', 'localhost:18043', open),
    mayCall('http://[::1]:18043', '[::1]:18043', open),
    mayCall('http://10.0.0.7', '10.0.0.7:80', open),
    mayCall('https://search.example', 'search.example', secure),
    mayCall('https://search.example', 'search.example:443', secure),
    mayCall('https://127.0.0.1:18043', '127.0.0.1:18043', secure),
  ]

  assert.deepEqual(may, Array(8).fill(true))
})

test('a page of another scheme, host or port may not, nor one under a name that somebody made point here', () => {
  const open = { listed, tls: false }
  const secure = { listed, tls: true }

  const may = {
    'another port': mayCall('http://127.0.0.1:3000', '127.0.0.1:18043', open),
    'another host': mayCall('http://localhost:18043', '127.0.0.1:18043', open),
    'a name that points here': mayCall('http://evil.example:18043', 'evil.example:18043', open),
    'a name like ours': mayCall('http://localhost.evil.example', 'localhost.evil.example', open),
    'a user that looks like a host': mayCall('http://127.0.0.1:18043@evil.example', '127.0.0.1:18043', open),
    'https to a door without TLS': mayCall('https://127.0.0.1:18043', '127.0.0.1:18043', open),
    'http to a door with TLS': mayCall('http://search.example', 'search.example', secure),
    'http at the port of TLS': mayCall('http://search.example:443', 'search.example:443', secure),
    'no Host': mayCall('http://127.0.0.1', undefined, open),
    'a Host that is none': mayCall('http://127.0.0.1', 'a b', open),
    'an opaque origin': mayCall('null', '127.0.0.1', open),
    'a path': mayCall('http://127.0.0.1/', '127.0.0.1', open),
    nothing: mayCall('', '127.0.0.1', open),
  }

  assert.deepEqual(
    Object.entries(may).filter(([, each]) => each),
    [],
  )
})
