import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MpeError } from '../ops/errors.js';
import { fixtureSchema, type Fixture, type Step } from './fixture-schema.js';
import { guidValue } from './fixture-values.js';

/** A fault in a fixture file. */
export interface FixtureProblem {
  readonly file: string;
  /** JSON path such as `steps[2].send.client`; '' = the whole file. */
  readonly path: string;
  readonly problem: string;
}

/** A loaded case with the file that it came from. */
export interface LoadedFixture {
  readonly file: string;
  readonly fixture: Fixture;
}

/** Turns `['steps', 2, 'send']` into `steps[2].send`. */
export function jsonPath(parts: readonly PropertyKey[]): string {
  return parts.reduce<string>(
    (path, part) =>
      typeof part === 'number'
        ? `${path}[${String(part)}]`
        : `${path}${path === '' ? '' : '.'}${String(part)}`,
    '',
  );
}

/** One line a problem: file, JSON path, what to do. */
export function describeProblems(problems: readonly FixtureProblem[]): string {
  return problems
    .map(({ file, path, problem }) => `${file}${path === '' ? '' : ` at ${path}`}: ${problem}`)
    .join('\n');
}

function parse(file: string, text: string, problems: FixtureProblem[]): Fixture | null {
  const add = (path: string, problem: string): void => void problems.push({ file, path, problem });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    add('', `not JSON: ${(error as Error).message}`);
    return null;
  }
  const result = fixtureSchema.safeParse(json);
  if (!result.success) {
    for (const issue of result.error.issues) add(jsonPath(issue.path), issue.message);
    return null;
  }
  return result.data;
}

/** The names a step refers to, with their JSON paths below the step. */
function references(
  step: Step,
): readonly { readonly path: string; readonly step?: string; readonly client?: string }[] {
  const key = (path: string, text: string): readonly { path: string; client: string }[] =>
    text.includes('/') ? [{ path, client: text.slice(0, text.indexOf('/')) }] : [];
  const { send, resend, register, operator } = step;
  return [
    ...step.after.map((id, i) => ({ path: `after[${i}]`, step: id })),
    ...(send === undefined
      ? []
      : [{ path: 'send.client', client: send.client }, ...key('send.key', send.key)]),
    ...(send?.channel?.client === undefined
      ? []
      : [{ path: 'send.channel.client', client: send.channel.client }]),
    ...(resend === undefined ? [] : [{ path: 'resend.of', step: resend.of }]),
    ...(register === undefined
      ? []
      : [{ path: 'register.client', client: register.client }, ...key('register.key', register.key)]),
    ...(operator !== undefined && 'block' in operator
      ? [{ path: 'operator.block', client: operator.block }]
      : []),
    ...(operator !== undefined && 'unblock' in operator
      ? [{ path: 'operator.unblock', client: operator.unblock }]
      : []),
    ...(operator !== undefined && 'approve' in operator
      ? [{ path: 'operator.approve.client', client: operator.approve.client }]
      : []),
    ...(operator !== undefined && 'reject' in operator
      ? [{ path: 'operator.reject.client', client: operator.reject.client }]
      : []),
    ...(operator !== undefined && 'deadLetter' in operator
      ? [{ path: 'operator.deadLetter.of', step: operator.deadLetter.of }]
      : []),
    ...(operator !== undefined && 'redrive' in operator
      ? [{ path: 'operator.redrive', step: operator.redrive }]
      : []),
  ];
}

/** Names that must exist, ids that must be distinct, orders that must be possible. */
function checkReferences(file: string, fixture: Fixture, problems: FixtureProblem[]): void {
  const add = (path: string, problem: string): void => void problems.push({ file, path, problem });
  if (`${fixture.name}.json` !== basename(file))
    add('name', `must be the file's name, "${basename(file, '.json')}"`);
  const steps = new Map<string, Step>();
  const isClient = (name: string): boolean => Object.hasOwn(fixture.clients, name);
  const clientNames = Object.keys(fixture.clients).join(', ');
  fixture.steps.forEach((step, i) => {
    if (steps.has(step.id))
      add(`steps[${i}].id`, `"${step.id}" is used twice; every step needs an id of its own`);
    steps.set(step.id, step);
  });
  fixture.steps.forEach((step, i) => {
    for (const reference of references(step)) {
      const path = `steps[${i}].${reference.path}`;
      if (reference.client !== undefined && !isClient(reference.client))
        add(path, `no client "${reference.client}" in "clients" (there: ${clientNames})`);
      if (reference.step === undefined) continue;
      const target = steps.get(reference.step);
      if (target === undefined) add(path, `no step "${reference.step}" in this case`);
      else if (reference.path.includes('of') && target.send === undefined)
        add(path, `step "${reference.step}" sends nothing, so it cannot be sent again`);
    }
  });
  const placed = new Set<string>();
  for (let grown = true; grown;) {
    grown = false;
    for (const step of fixture.steps) {
      if (placed.has(step.id) || !step.after.every((id) => placed.has(id) || !steps.has(id))) continue;
      placed.add(step.id);
      grown = true;
    }
  }
  fixture.steps.forEach((step, i) => {
    if (!placed.has(step.id)) add(`steps[${i}].after`, 'waits in a circle; remove one of the orders');
  });
  for (const [path, names] of Object.entries({
    'rows.messages': Object.keys(fixture.rows.messages),
    'rows.reports': fixture.rows.reports.map((r) => r.from),
  }))
    for (const id of names)
      if (steps.get(id)?.send === undefined) add(path, `no step "${id}" that sends a message`);
  for (const client of fixture.rows.keys.flatMap((k) => k.provenBy))
    if (!isClient(client)) add('rows.keys', `no client "${client}" in "clients"`);
}

/** Ids that would join two cases: each case must be able to run beside every other. */
function checkIndependence(loaded: readonly LoadedFixture[], problems: FixtureProblem[]): void {
  const owners = new Map<string, string>();
  for (const { file, fixture } of loaded) {
    const ids = new Set<string>();
    for (const client of Object.values(fixture.clients))
      if (client.id !== undefined) ids.add(`client ${guidValue(fixture.name, client.id)}`);
    for (const key of fixture.rows.keys)
      if (key.volume !== undefined) ids.add(`volume ${guidValue(fixture.name, key.volume)}`);
    for (const id of ids) {
      const owner = owners.get(`${fixture.site} ${id}`);
      if (owner === undefined) owners.set(`${fixture.site} ${id}`, fixture.name);
      else
        problems.push({
          file,
          path: '',
          problem: `${id} is also used by case "${owner}"; give it one of its own`,
        });
    }
  }
}

/**
 * Loads every case of `<folder>/cases`, sorted by name.
 *
 * @throws MpeError FIXTURE_INVALID listing every problem, one a line.
 */
export function loadFixtures(folder: string): readonly LoadedFixture[] {
  const cases = join(folder, 'cases');
  if (!existsSync(cases))
    throw new MpeError('FIXTURE_INVALID', `${cases} is not there; give the fixtures' folder with --fixtures`);
  const problems: FixtureProblem[] = [];
  const loaded: LoadedFixture[] = [];
  const names = readdirSync(cases)
    .filter((entry) => entry.endsWith('.json'))
    .map((entry) => basename(entry, '.json'))
    .sort();
  for (const name of names) {
    const file = join(cases, `${name}.json`);
    const fixture = parse(file, readFileSync(file, 'utf8'), problems);
    if (fixture === null) continue;
    checkReferences(file, fixture, problems);
    loaded.push({ file, fixture });
  }
  if (problems.length === 0) checkIndependence(loaded, problems);
  if (problems.length > 0) throw new MpeError('FIXTURE_INVALID', describeProblems(problems));
  if (loaded.length === 0) throw new MpeError('FIXTURE_INVALID', `${cases} holds no cases`);
  return loaded;
}

/** The cases whose name, or one of whose tags, contains `pattern` (`*` = anything; case does not matter). */
export function selectFixtures(
  loaded: readonly LoadedFixture[],
  pattern: string | undefined,
): readonly LoadedFixture[] {
  if (pattern === undefined) return loaded;
  const body = pattern
    .split('*')
    .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  const regex = pattern.includes('*') ? new RegExp(`^${body}$`, 'i') : new RegExp(body, 'i');
  const chosen = loaded.filter(
    ({ fixture }) => regex.test(fixture.name) || fixture.tags.some((tag) => tag === pattern),
  );
  if (chosen.length === 0)
    throw new MpeError('USAGE', `no case and no tag matches "${pattern}"; see mpe fixtures coverage`);
  return chosen;
}
