/**
 * A program for a test: two hosts with a call between them are stopped mid-way, and nothing else ends the process.
 */
import { addressOf, createTestNetwork, recordCall } from './network.ts'

const seller = await createTestNetwork({ onCall: (call) => void recordCall(call) })
const buyer = await createTestNetwork({ bootstrap: [addressOf(seller), '/ip4/127.0.0.1/tcp/9'] })
await buyer.connect(addressOf(seller), AbortSignal.timeout(5_000))
const call = recordCall(await buyer.openCall(seller.peer, AbortSignal.timeout(5_000)))
call.channel.send(0x01, new Uint8Array(1))
await Promise.all([seller.stop(), buyer.stop()])
console.log('stopped')
