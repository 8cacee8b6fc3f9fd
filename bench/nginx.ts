import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProcess, type TestProcess } from '../test/process.ts'

/** NGINX before a service, doing of the gateway's work what it can: keys, a rate per key, an access log, request ids, connections that are kept. */
export async function startNginx(port: number, upstream: number, key: string): Promise<TestProcess> {
  const found = spawnSync('nginx', ['-v'], { encoding: 'utf8' })
  if (found.error !== undefined)
    throw new Error('nginx is not here: apt-get install nginx-light, on Debian; the bench starts it itself')
  const folder = mkdtempSync(join(tmpdir(), 'freshet-nginx-'))
  mkdirSync(join(folder, 'temp'))
  const path = join(folder, 'nginx.conf')
  writeFileSync(path, configOf(folder, port, upstream, key))
  const nginx = startProcess('nginx', 'nginx', ['-c', path, '-e', join(folder, 'error.log'), '-g', 'daemon off;'])
  return {
    ...nginx,
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const configOf = (folder: string, port: number, upstream: number, key: string): string => `
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
  client_body_temp_path ${folder}/temp;
  proxy_temp_path ${folder}/temp;
  fastcgi_temp_path ${folder}/temp;
  uwsgi_temp_path ${folder}/temp;
  scgi_temp_path ${folder}/temp;
  access_log ${folder}/access.log combined;
  keepalive_requests 1000000;
  map_hash_bucket_size 256;
  client_body_buffer_size 1m;
  map $http_x_api_key $known { default 0; "${key}" 1; }
  limit_req_zone $http_x_api_key zone=keys:10m rate=100000r/s;
  upstream service { server 127.0.0.1:${upstream}; keepalive 128; }
  server {
    listen 127.0.0.1:${port};
    location / {
      if ($known = 0) { return 401; }
      limit_req zone=keys burst=100000 nodelay;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Api-Key "";
      proxy_pass http://service;
    }
  }
}
`
