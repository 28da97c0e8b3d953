// The import directions of the design (docs/adr/0001): dependencies point one way.
// commands -> ingest | workers | recovery | relay | client | replay -> queue, store -> secrets -> jose -> protocol -> ops, config
const only = (name, comment, from, allowed) => ({
  name,
  comment,
  severity: 'error',
  from: { path: `^src/${from}/` },
  to: { path: '^src/', pathNot: `^src/(${[from, ...allowed].join('|')})/` },
});
const base = ['ops', 'config'];
const low = ['protocol', ...base];
const mid = ['jose', ...low];
const keys = ['secrets', ...mid];
const data = ['queue', 'store', ...keys];

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    only('ops-is-the-bottom', 'ops knows config at most', 'ops', ['config']),
    only('config-is-the-bottom', 'config knows ops at most', 'config', ['ops']),
    only('protocol-direction', 'protocol stands on ops and config', 'protocol', base),
    only('jose-direction', 'jose stands on protocol', 'jose', low),
    only('secrets-direction', 'secrets stand on jose', 'secrets', mid),
    only('store-direction', 'the store stands on secrets', 'store', keys),
    only('queue-direction', 'the queue stands on secrets', 'queue', keys),
    only('site-direction', 'changes of a site need its database and its keys, no queue', 'site', [
      'store',
      ...keys,
    ]),
    only('ingest-direction', 'ingest and workers never import each other', 'ingest', data),
    only('workers-direction', 'ingest and workers never import each other', 'workers', data),
    only('recovery-direction', 'the recovery service needs no queue: it reads and marks rows', 'recovery', [
      'store',
      ...keys,
    ]),
    {
      name: 'certificate-key-in-recovery-only',
      comment: 'gateways and workers never touch what opens stored secrets',
      severity: 'error',
      from: { path: '^src/(ingest|workers|queue|store|client)/' },
      to: { path: '^src/(recovery/|secrets/(open-secret|verify-secret)\\.ts$)' },
    },
    only(
      'client-direction',
      'the client imports jose, protocol and config alone (and the error catalogue)',
      'client',
      mid,
    ),
    only('replay-direction', 'replay drives client, workers and store', 'replay', [
      'client',
      'workers',
      ...data,
    ]),
    {
      name: 'mssql-only-in-its-store',
      severity: 'error',
      from: { path: '^(src|bench|scripts)/', pathNot: '^src/store/mssql/' },
      to: { path: 'node_modules/(mssql|tedious)/' },
    },
    {
      name: 'node-jose-only-in-jose',
      severity: 'error',
      from: { path: '^(src|bench|scripts)/', pathNot: '^src/jose/' },
      to: { path: 'node_modules/node-jose/' },
    },
    {
      name: 'bullmq-only-in-queue',
      severity: 'error',
      from: { path: '^(src|bench|scripts)/', pathNot: '^src/queue/' },
      to: { path: 'node_modules/bullmq/' },
    },
    {
      name: 'not-to-dev-dep',
      comment: 'what ships must not need a development package',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
    {
      name: 'not-to-test',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
