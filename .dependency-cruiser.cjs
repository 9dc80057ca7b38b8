/** Package boundaries and import cycles: docs/architecture.md, "Layout". */
const layer = (from, allowed) => ({
  name: `${from}-imports`,
  severity: 'error',
  comment: `${from} may import ${allowed.join(', ') || 'no other package'}; its tests @cabstand/testing too`,
  from: { path: `^libs/${from}/`, pathNot: '\\.(test|fixture)\\.ts$' },
  to: {
    path: '^(libs|services)/',
    pathNot: `^libs/(${[from, ...allowed].join('|')})/`,
  },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'services-never-import-each-other',
      severity: 'error',
      from: { path: '^services/([^/]+)/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'packages-are-imported-by-name',
      severity: 'error',
      comment: "no reaching into another package's files",
      from: { path: '^(libs|services)/([^/]+)/' },
      to: {
        path: '^(libs|services)/[^/]+/(src|dist)/',
        pathNot: ['^$1/$2/', '^(libs|services)/[^/]+/(src|dist)/index\\.(ts|d\\.ts|js)$'],
      },
    },
    {
      name: 'dependencies-are-declared',
      severity: 'error',
      from: { path: '^(libs|services)/', pathNot: '\\.(test|fixture)\\.ts$' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    layer('core', []),
    layer('tensor', ['core']),
    layer('rpc', ['core', 'tensor']),
    layer('auth', ['core', 'rpc']),
    layer('service', ['core', 'rpc', 'auth']),
    layer('model', ['core', 'tensor']),
    layer('engine', ['core', 'tensor', 'rpc', 'model']),
    layer('media', ['core']),
    layer('client', ['core', 'tensor', 'rpc', 'auth']),
    layer('cli', [
      'core',
      'tensor',
      'rpc',
      'auth',
      'service',
      'client',
      'media',
      'model',
      'engine',
    ]),
    layer('testing', ['core', 'tensor', 'rpc', 'auth', 'client']),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|/generated/|^test/)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.depcruise.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['require', 'types', 'default'],
    },
  },
};
