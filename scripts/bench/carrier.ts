/**
 * A stream per call against calls that share a stream, over the same connection between two processes.
 */
import { quantile, type Figure } from './figures.ts'
import type { BuyerJob, BuyerResult } from './carrier-peer.ts'
import { microsEach } from './load.ts'
import { createCpuMeter, type Workbench } from './workbench.ts'

const CARRIERS = [1, 128] as const
const ROUNDS = 3
const CALLS = 100
const PARTS = 150
const INTERVAL_MS = 20

export async function benchCarrier(bench: Workbench): Promise<Figure[]> {
  const seller = await bench.program<never, never, { readonly address: string }>('carrier-peer', ['seller'])
  const buyer = await bench.program<BuyerJob, BuyerResult>('carrier-peer', [
    'buyer',
    seller.ready.address,
    ...CARRIERS.map(String),
  ])
  const runs = CARRIERS.map((callsPerStream) => ({
    callsPerStream,
    alone: [] as number[],
    together: [] as number[],
    parts: 0,
    gaps: [] as number[],
    buyerCpu: createCpuMeter(buyer.pid),
    sellerCpu: createCpuMeter(seller.pid),
  }))
  const starts = async (callsPerStream: number, atOnce: number, count: number): Promise<readonly number[]> => {
    return (await buyer.ask({ kind: 'starts', callsPerStream, count, atOnce })).startsMs
  }
  for (const { callsPerStream } of runs) await starts(callsPerStream, 1, 200) // the first calls warm the code up
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const run of runs) {
      const { callsPerStream } = run
      run.alone.push(...(await starts(callsPerStream, 1, 200)))
      run.together.push(...(await starts(callsPerStream, 64, 640)))
      const streamed = await run.buyerCpu.during(() =>
        run.sellerCpu.during(() =>
          buyer.ask({ kind: 'parts', callsPerStream, calls: CALLS, parts: PARTS, intervalMs: INTERVAL_MS }),
        ),
      )
      run.parts += streamed.parts
      run.gaps.push(streamed.gapP99Ms)
    }
  }
  return runs.flatMap((run) => {
    const name = run.callsPerStream === 1 ? 'a stream per call' : `${run.callsPerStream} calls per stream`
    return [
      figure(`${name}: a call starts, one at a time, p50`, quantile(run.alone, 0.5), 'ms'),
      figure(`${name}: a call starts, 64 at once, p50`, quantile(run.together, 0.5), 'ms'),
      figure(`${name}: CPU of the buyer per part`, microsEach(run.buyerCpu.totalMs(), run.parts), 'µs'),
      figure(`${name}: CPU of the seller per part`, microsEach(run.sellerCpu.totalMs(), run.parts), 'µs'),
      figure(`${name}: gap between parts, p99`, quantile(run.gaps, 0.5), 'ms'),
    ]
  })
}

function figure(name: string, value: number | undefined, unit: string): Figure {
  return { group: 'carrier', name, value, unit }
}
