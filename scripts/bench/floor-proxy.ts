/**
 * The floor: the least that a proxy on Node can do. Reads the body, sends it on with undici's `dispatch`, writes back what comes.
 * It reads nothing, records nothing and refuses nothing.
 */
import { createServer } from 'node:http'
import { Pool } from 'undici'
import { listenOnLoopback } from './listen-on-loopback.ts'
import { serveJobs } from './serve-jobs.ts'

const [target = ''] = process.argv.slice(2)
const pool = new Pool(target, { connections: 64, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })

const server = createServer((request, response) => {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => {
    pool.dispatch(
      {
        method: 'POST',
        path: request.url ?? '/',
        headers: { 'content-type': 'application/json' },
        body: pieces[0] !== undefined && pieces.length === 1 ? pieces[0] : Buffer.concat(pieces),
      },
      {
        onRequestStart: () => undefined,
        onResponseStart(_, status, headers) {
          const length = headers['content-length']
          response.writeHead(status, {
            'content-type': String(headers['content-type']),
            ...(length === undefined ? {} : { 'content-length': String(length) }),
          })
        },
        onResponseData(controller, bytes) {
          if (response.write(bytes)) return
          controller.pause()
          response.once('drain', () => controller.resume())
        },
        onResponseEnd() {
          response.end()
        },
        onResponseError(_, error) {
          console.error(error.message)
          response.destroy()
        },
      },
    )
  })
})

serveJobs({ url: await listenOnLoopback(server) }, () => Promise.reject(new Error('it takes no jobs')))
