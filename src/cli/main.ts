/**
 * The command line. One file per command, loaded only when its command is called: `tok-node --help` and
 * `tok-node status` answer at once, whatever the node itself is made of.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { TokError } from '../base/errors.ts'
import { EXIT, reportFailure } from './failure.ts'

interface CommandEntry {
  readonly summary: string
  /** Gives the command its arguments, flags and action. */
  define(command: Command): Promise<void>
}

/** Every command, in the order of the help. */
const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  init: {
    summary: 'write configuration and the node key',
    define: async (command) => (await import('./init.ts')).defineInit(command),
  },
  start: {
    summary: 'run a node',
    define: async (command) => (await import('./start.ts')).defineStart(command),
  },
  stop: {
    summary: 'stop the running node after its answers under way',
    define: async (command) => (await import('./stop.ts')).defineStop(command),
  },
  status: {
    summary: 'show what the running node does',
    define: async (command) => (await import('./status.ts')).defineStatus(command),
  },
  demo: {
    summary: 'run a small market on this machine: trade, fail over, prove the ledgers, clean up',
    define: async (command) => (await import('./demo-command.ts')).defineDemo(command),
  },
  doctor: {
    summary: 'check this machine, the configuration and the running node',
    define: async (command) => (await import('./doctor.ts')).defineDoctor(command),
  },
  models: {
    summary: 'list the models that clients can ask for, and where each would run',
    define: async (command) => (await import('./models.ts')).defineModels(command),
  },
  offers: {
    summary: 'list the offers of sellers on the network',
    define: async (command) => (await import('./offers.ts')).defineOffers(command),
  },
  peers: {
    summary: 'list the connected peers',
    define: async (command) => (await import('./peers.ts')).definePeers(command),
  },
  explain: {
    summary: 'say where a request for a model would go, and why',
    define: async (command) => (await import('./explain.ts')).defineExplain(command),
  },
  chat: {
    summary: 'ask a model through the running node, once or in a conversation',
    define: async (command) => (await import('./chat.ts')).defineChat(command),
  },
  sell: {
    summary: 'list, price, pause and resume what the running node sells',
    define: async (command) => (await import('./sell.ts')).defineSell(command),
  },
  ledger: {
    summary: 'list, show, verify, export, back up and recover the accounts',
    define: async (command) => (await import('./ledger.ts')).defineLedger(command),
  },
  config: {
    summary: 'show the configuration in force, with the origin of every value',
    define: async (command) => (await import('./config.ts')).defineConfig(command),
  },
}

/** Runs the command of `words` and gives the exit code. */
async function run(words: readonly string[]): Promise<number> {
  const program = new Command('tok-node')
    .description(
      'A marketplace node for AI compute: an OpenAI and Anthropic gateway that buys from, and sells to, other machines.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 failed; 2 wrong command line; 3 no node runs there; 4 configuration not valid.',
    )
  const named = words[0] === 'help' ? words[1] : words[0]
  for (const [name, { summary, define }] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(summary)
    if (name === named) await define(command)
  }
  try {
    await program.parseAsync([...words], { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : EXIT.ok
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return EXIT.ok
    // `tok-node` or `tok-node ledger` alone: the help is printed already.
    if (error.code === 'commander.help') return EXIT.usage
    throw new TokError('argument_invalid', { reason: usageReason(error.message) }, { cause: error })
  }
}

/** "error: unknown command 'x'\n(Did you mean y?)" in one line, as errors are told here. */
function usageReason(message: string): string {
  return message.replace(/^error: /, '').replace(/\s*\n\(Did you mean (.*)\?\)$/, '; did you mean $1?')
}

function packageVersion(): string {
  const packageFile = join(import.meta.dirname, '../../package.json')
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }
  return version
}

// `tok-node ledger export | head` closes the pipe before the end; that is the reader's wish, not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT.ok)
})

const words = process.argv.slice(2)
try {
  process.exitCode = await run(words)
} catch (error) {
  process.exitCode = reportFailure(error, words.includes('--json'))
}
