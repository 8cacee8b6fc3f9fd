import { engineContract } from './engine-contract.ts'
import { hashEngine } from './hash-engine.ts'

engineContract('the hash engine', async () => hashEngine())
