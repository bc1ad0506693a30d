import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Listens on a free port of 127.0.0.1, keeps idle connections longer than a bench lasts, and gives the base URL. */
export async function listenOnLoopback(server: Server): Promise<string> {
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
