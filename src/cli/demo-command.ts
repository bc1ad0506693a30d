/**
 * `tok-node demo`: its flags; the market itself is in demo.ts.
 */
import type { Command } from 'commander'

export function defineDemo(command: Command): void {
  command
    .option('--keep', 'leave the market running, and print where to point a client')
    .option('--json', 'print one JSON document at the end')
    .action(async ({ keep = false, json = false }: { keep?: boolean; json?: boolean }) => {
      const { runDemo } = await import('./demo.ts')
      process.exitCode = await runDemo({ keep, json })
    })
}
