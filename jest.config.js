/**
 * Unit tests (beside the code) run on the sources, and so do test/faults/model, test/fuzz, test/bench and
 * test/deploy, which need no processes; the rest of test/ runs built ones. The other tests of test/faults take
 * minutes and run on their own: FAULTS=1.
 */
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

// Results of verification are kept for one run of the tests, apart from those of whoever runs them.
process.env.XDG_CACHE_HOME = mkdtempSync(join(tmpdir(), 'cabstand-test-cache-'));
// Set before ONNX Runtime loads: nothing is sent from tests either.
process.env.ORT_DISABLE_TELEMETRY = '1';
process.on('exit', () => rmSync(process.env.XDG_CACHE_HOME, { recursive: true, force: true }));

const shared = {
  transform: {
    '^.+\\.[cm]?[jt]s$': [
      '@swc/jest',
      { jsc: { target: 'es2023', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } },
    ],
  },
  // jose is published as ES modules only.
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
  moduleNameMapper: {
    '^@cabstand/(router|hoster|gateway)$': '<rootDir>/services/$1/src/index.ts',
    '^@cabstand/client/protocol$': '<rootDir>/libs/client/src/protocol/index.ts',
    '^@cabstand/([a-z-]+)$': '<rootDir>/libs/$1/src/index.ts',
  },
  testEnvironment: '<rootDir>/test/support/environment.js',
  modulePathIgnorePatterns: ['/dist/'],
};

module.exports = {
  testTimeout: 20000,
  // All processors: jest leaves one free, which of two is half of them, and tests wait for their processes as well.
  maxWorkers: '100%',
  // In a process that has run a hundred suites the next one takes six times as long: what they left is in its way.
  workerIdleMemoryLimit: '600MB',
  projects: [
    {
      ...shared,
      displayName: 'unit',
      rootDir: __dirname,
      testMatch: [
        '<rootDir>/libs/**/src/**/*.test.ts',
        '<rootDir>/services/**/src/**/*.test.ts',
        '<rootDir>/models/**/*.test.ts',
        '<rootDir>/test/faults/model/*.test.ts',
        '<rootDir>/test/fuzz/*.test.ts',
        '<rootDir>/test/bench/peers/*.test.ts',
        '<rootDir>/test/deploy/*.test.ts',
      ],
    },
    {
      ...shared,
      displayName: 'integration',
      rootDir: __dirname,
      testMatch: ['<rootDir>/test/integration/**/*.test.ts', '<rootDir>/test/interop/**/*.test.ts'],
    },
  ],
};

if (process.env.FAULTS === '1')
  module.exports.projects = [
    {
      ...shared,
      displayName: 'faults',
      rootDir: __dirname,
      testMatch: [
        '<rootDir>/test/faults/*.test.ts',
        '<rootDir>/test/faults/language-models/*.test.ts',
      ],
    },
  ];

// What takes minutes for each of its tests, and does not run with the others.
if (process.env.FAULTS === 'trials')
  module.exports.projects = [
    {
      ...shared,
      displayName: 'trials',
      rootDir: __dirname,
      testMatch: ['<rootDir>/test/faults/trials/*.test.ts'],
    },
  ];
