import { defineConfig } from 'vitest/config'

/** Other people's command-line agents: only where scripts/test-clients.ts has installed them. */
const clients =
  process.env['TOK_CLIENTS'] === undefined
    ? []
    : [
        {
          test: {
            name: 'clients',
            include: ['test/clients/**/*.test.ts'],
            pool: 'forks' as const,
            testTimeout: 90_000,
            hookTimeout: 30_000,
          },
        },
      ]

/**
 * One project per kind of test, so that each kind gets the isolation and the time it needs:
 * `vitest run --project unit`. Groups run one after the other: two cores cannot carry a network of hosts
 * and a load of tables at once, and a timing that fails only under load proves nothing.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    restoreMocks: true,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/protocols/**/*.test.ts'],
          pool: 'threads',
          testTimeout: 10_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'http',
          include: ['test/http/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 30_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'network',
          include: ['test/network/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // No clock but their own: how fast they run says nothing.
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          pool: 'threads',
          testTimeout: 120_000,
          sequence: { groupOrder: 3 },
        },
      },
      ...clients,
    ],
  },
})
