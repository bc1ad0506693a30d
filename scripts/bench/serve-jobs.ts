/**
 * The other end of `Workbench.program`: a process that says where it stands and then does what it is asked.
 */

/** Says `ready`, then answers each message with what `run` makes of it, and ends with its parent. */
export function serveJobs<Job, Result extends object>(ready: object, run: (job: Job) => Promise<Result>): void {
  process.on('message', (job) => {
    run(job as Job).then(say, (thrown: unknown) =>
      say({ error: thrown instanceof Error ? thrown.message : String(thrown) }),
    )
  })
  process.on('disconnect', () => process.exit())
  process.on('SIGTERM', () => process.exit())
  say(ready)
}

function say(message: object): void {
  process.send?.(message)
}
