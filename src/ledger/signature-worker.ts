/**
 * A thread that checks signatures: batches of claims in, lists of booleans out.
 */
import { parentPort, workerData } from 'node:worker_threads'
import nacl from 'tweetnacl'
import { isCanonicalSignature, isUsableKey, verifySignature } from '../wire/identity.ts'
import type { SignatureClaim, SignatureEngine } from './signature-check.ts'

const checks: Record<SignatureEngine, (claim: SignatureClaim) => boolean> = {
  native: ({ publicKey, message, signature }) => verifySignature(publicKey, message, signature),
  // tweetnacl takes S + L for S and keys of small order; both are refused here, as by the native engine.
  tweetnacl: ({ publicKey, message, signature }) =>
    isUsableKey(publicKey) &&
    isCanonicalSignature(signature) &&
    nacl.sign.detached.verify(message, signature, publicKey),
}

const check = checks[workerData as SignatureEngine]
parentPort?.on('message', (claims: readonly SignatureClaim[]) => parentPort?.postMessage(claims.map(check)))
