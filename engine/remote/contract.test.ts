import { after } from 'node:test'
import { engineContract } from '../engine-contract.ts'
import { openai } from './openai.ts'
import { engineOver } from './remote.fixture.ts'
import { fakeService } from './service.fixture.ts'
import { tei } from './tei.ts'

const service = await fakeService()
after(() => service[Symbol.asyncDispose]())
const { url } = service

const openaiOf = (encoding: 'float' | 'base64') => openai({ url, model: 'hash', encoding, dimensions: null })
engineContract('an OpenAI-compatible service', async () => engineOver(openaiOf('float')))
engineContract('an OpenAI-compatible service, base64', async () => engineOver(openaiOf('base64')))
engineContract('TEI', async () => engineOver(tei({ url, model: 'hash', revision: 'r1' })))
