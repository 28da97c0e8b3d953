import { expect, test } from 'vitest';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import {
  confirmIncident,
  endIncident,
  incidentState,
  proposeIncident,
} from '../../src/recovery/incident/incident.js';
import { IncidentRotations } from '../../src/recovery/incident/incident-rotations.js';
import { printIncident, type PrintedKey } from '../../src/recovery/incident/print-incident.js';
import { password } from '../workers/support.js';
import { ADMIN, Desk, HELPDESK, HOUR_MS, person } from './desk.js';

const ALICE = { person: person('CORP\\alice', 'operator'), source: 'Command line' } as const;
const BOB = { person: person('CORP\\bob', 'helpdesk-administrator'), source: 'Helpdesk' } as const;

test('an incident needs two people, lifts limits for its machines, prints, ends by itself, and rotates all, paced', async () => {
  const desk = await Desk.open({}, { helpdeskPerHour: 1, ownPerHour: 1 });
  const machines = [await desk.machine('PC-1'), await desk.machine('PC-2'), await desk.machine('PC-3')].sort(
    (a, b) => (a.clientId < b.clientId ? -1 : 1),
  );
  const keys: { keyId: Guid; volumeId: Guid }[] = [];
  for (const [n, machine] of machines.entries()) keys.push(await desk.escrow(machine, password(n)));
  let now = Date.now();
  const context = { ...desk.context, store: desk.store, clock: { now: () => now } };
  const listed = machines.slice(0, 2).map(({ clientId }) => clientId);
  const proposal = { title: 'bad driver', machines: listed, lastsMinutes: 60, rotationsPerHour: 1 };

  for (const wrong of [{ title: ' ' }, { machines: [] }, { lastsMinutes: 0 }, { rotationsPerHour: 1.5 }])
    await expect(proposeIncident(context, ALICE, { ...proposal, ...wrong })).rejects.toMatchObject({
      code: 'VALUE_INVALID',
    });
  await expect(proposeIncident(context, { ...ALICE, person: HELPDESK }, proposal)).rejects.toThrow(/roles/);
  const { incidentId } = await proposeIncident(context, ALICE, proposal);
  const same = { ...ALICE, person: { ...ALICE.person, name: 'corp\\ALICE' } };
  await expect(confirmIncident(context, same, incidentId)).rejects.toThrow(/somebody else/);
  const ask = (n: number) => desk.ask(keys[n]!.keyId, { person: ADMIN }, context);
  expect((await ask(0)).outcome).toBe('shown');
  expect(await ask(0)).toMatchObject({ refusal: 'LIMIT_REACHED' });

  const confirmed = await confirmIncident(context, BOB, incidentId);
  expect(confirmed.rotations).toBe(2);
  const endsAtMs = now + HOUR_MS;
  expect(confirmed.incident).toMatchObject({ confirmedBy: 'corp\\bob', endsAtMs });
  for (let n = 0; n < 3; n += 1) expect((await ask(0)).outcome).toBe('shown');
  // Another machine's key has its limit still.
  expect(await ask(2)).toMatchObject({ refusal: 'LIMIT_REACHED' });

  const printed: PrintedKey[] = [];
  for await (const one of printIncident(context, BOB, incidentId)) printed.push(one);
  expect(
    printed.map(({ answer }) => (answer.outcome === 'shown' ? answer.keys[0]?.value : answer.refusal)),
  ).toEqual([password(0), password(1)]);
  const rows = await desk.rows();
  expect(rows.filter(({ reason }) => reason === 'Other: incident, bad driver')).toHaveLength(2);
  expect(rows.filter(({ detail }) => detail.startsWith('SAME_PERSON'))).toHaveLength(1);
  await expect(printIncident(context, ALICE, incidentId).next()).rejects.toThrow(/roles/);
  expect((await desk.rows()).at(-1)).toMatchObject({
    ...{ result: 'Failed', actor: 'corp\\alice', reason: 'Incident printed: bad driver' },
    detail: expect.stringMatching(/^NOT_ALLOWED: incident /),
  });

  // One machine an hour from the end on; what was shown by hand is due at once.
  const requests = await desk.store.rotation.page({ open: true }, null, 10);
  const begins = new Map(requests.map(({ request }) => [request.keyId, request.notBeforeMs]));
  expect(begins.get(keys[1]!.keyId)).toBe(endsAtMs + HOUR_MS);
  expect(begins.get(keys[0]!.keyId)).toBeLessThanOrEqual(now);
  expect(begins.has(keys[2]!.keyId)).toBe(false);

  // Asked for again, as after a crash between confirmation and rotations: nothing changes.
  const before = JSON.stringify(requests.map(({ request }) => [request.requestId, request.round]));
  await confirmIncident(context, BOB, incidentId);
  const after = await desk.store.rotation.page({ open: true }, null, 10);
  expect(JSON.stringify(after.map(({ request }) => [request.requestId, request.round]))).toBe(before);

  now = endsAtMs;
  const ended = await desk.store.disclosure.readIncident(incidentId);
  expect(incidentState(ended!, now)).toBe('ENDED');
  await expect(printIncident(context, BOB, incidentId).next()).rejects.toThrow(/not open/);
  expect((await desk.rows()).at(-1)?.detail).toMatch(/^NOT_OPEN: incident /);
  await expect(endIncident(context, ALICE, incidentId)).rejects.toThrow(/over already/);
  await expect(confirmIncident(context, BOB, newGuid())).rejects.toThrow(/no incident/);

  const second = await proposeIncident(context, BOB, proposal);
  await confirmIncident(context, ALICE, second.incidentId);
  expect(await endIncident(context, BOB, second.incidentId)).toMatchObject({ endedBy: 'corp\\bob' });
  now += 1;
  expect(await ask(0)).toMatchObject({ outcome: 'shown' });
  expect(await ask(0)).toMatchObject({ refusal: 'LIMIT_REACHED' });
  // A proposal that nobody confirms is over after a day.
  const third = await proposeIncident(context, BOB, proposal);
  now += 24 * HOUR_MS;
  await expect(confirmIncident(context, ALICE, third.incidentId)).rejects.toThrow(/over/);
});

test('the recovery service asks for the rotations of an incident whose confirmation was all that was written', async () => {
  const desk = await Desk.open();
  const machine = await desk.machine('PC-1');
  const key = await desk.escrow(machine, password(0));
  const now = Date.now();
  const context = { ...desk.context, store: desk.store, clock: { now: () => now } };
  const proposal = { title: 'bad driver', lastsMinutes: 60, rotationsPerHour: 1 };
  const { incidentId } = await proposeIncident(context, ALICE, { ...proposal, machines: [machine.clientId] });
  const rotations = () => new IncidentRotations(context);
  const { signal } = new AbortController();
  const open = async () =>
    (await desk.store.rotation.page({ open: true }, null, 10)).map(({ request }) => [
      request.keyId,
      request.round,
      request.requestedBy,
    ]);
  await rotations().round(signal);
  expect(await open()).toEqual([]);

  // The process that confirms dies before it asks.
  const died = new Error('died');
  const { disclosure } = desk.store;
  const rotation = { ...desk.store.rotation, open: () => Promise.reject(died) };
  await expect(
    confirmIncident({ ...context, store: { disclosure, rotation } }, BOB, incidentId),
  ).rejects.toThrow(died);
  expect(await open()).toEqual([]);
  const service = rotations();
  await service.round(signal);
  expect(await open()).toEqual([[key.keyId, 1, 'corp\\bob']]);

  // Again, and by the next process, nothing changes; what replaced a key since is not asked for.
  const next = await desk.escrow(machine, password(1), { volumeId: key.volumeId });
  expect(next.keyId).not.toBe(key.keyId);
  await service.round(signal);
  await rotations().round(signal);
  expect(await open()).toEqual([[key.keyId, 1, 'corp\\bob']]);
});
