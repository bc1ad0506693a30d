/**
 * Loaded into a node before its own code (NODE_OPTIONS): on SIGUSR2 it collects the garbage and writes what is left into the file
 * that TOK_BENCH_MEMORY names.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const file = process.env['TOK_BENCH_MEMORY']

if (isMainThread && file !== undefined) {
  process.on('SIGUSR2', () => {
    globalThis.gc?.()
    writeFileSync(`${file}.new`, JSON.stringify(process.memoryUsage()))
    renameSync(`${file}.new`, file)
  })
}
