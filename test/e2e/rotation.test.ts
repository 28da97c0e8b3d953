import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  MemoryDrives,
  MemoryStateStore,
  MpeClient,
  randomRecoveryPassword,
  type ClientEvent,
  type ClientOptions,
  type VolumeInput,
} from '../../src/client/index.js';
import { systemClock } from '../../src/ops/clock.js';
import { createLogger } from '../../src/ops/log.js';
import { Metrics } from '../../src/ops/metrics.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { VolumeType } from '../../src/protocol/vocabulary.js';
import { Alarms } from '../../src/recovery/alarms.js';
import { RotationKeeper, type KeeperReport } from '../../src/recovery/rotation/keeper.js';
import { listRotations } from '../../src/recovery/rotation/list.js';
import { RotationMetrics } from '../../src/recovery/rotation/metrics.js';
import { requestRotations } from '../../src/recovery/rotation/request.js';
import { rotationView, type RotationView } from '../../src/recovery/rotation/view.js';
import { LiveSite } from '../client/live-site.js';

// Rotation with the reference client, a gateway over HTTPS, a worker, Redis and the site database. The
// drives are in memory; everything else is what runs in production.

const HOUR = 3_600_000;
const FAST: ClientOptions = { waitSeconds: 1, backoff: { baseMs: 20, capMs: 200 } };

let site: LiveSite;
beforeAll(async () => {
  site = await LiveSite.start();
}, 120_000);
afterAll(() => site.stop());

const volume = (type: VolumeType = 'OS', ...keyIds: readonly Guid[]): VolumeInput => ({
  volumeId: newGuid(),
  volumeType: type,
  driveLabel: 'C:',
  protection: 'ON',
  protectors: (keyIds.length === 0 ? [newGuid()] : keyIds).map((keyId) => ({
    keyId,
    recoveryPassword: randomRecoveryPassword(),
  })),
});

/** A machine: a client and its drives. */
class Machine {
  readonly events: ClientEvent[] = [];
  client!: MpeClient;
  constructor(readonly drives: MemoryDrives) {}

  static async with(...volumes: readonly VolumeInput[]): Promise<Machine> {
    const machine = new Machine(new MemoryDrives(volumes));
    machine.client = await MpeClient.enrol({
      ...{ url: site.url, enrolmentToken: site.enrolmentToken, state: new MemoryStateStore() },
      ...FAST,
      onEvent: (event) => machine.events.push(event),
    });
    if (volumes.length > 0) {
      await machine.client.escrow(volumes);
      await machine.send();
    }
    return machine;
  }

  async send(): Promise<void> {
    expect((await this.client.drain({ timeoutMs: 60_000 })).pending).toBe(0);
  }

  async checkIn(): Promise<void> {
    await this.client.checkIn({
      machineName: 'PC',
      volumes: this.drives
        .volumes()
        .map((one) => ({ ...one, keyIds: one.protectors.map(({ keyId }) => keyId) })),
    });
    await this.send();
  }

  /** Until nothing is left to do. */
  async follow(rounds = 8): Promise<number> {
    let made = 0;
    for (let round = 0; round < rounds; round += 1) {
      const now = await this.client.follow(this.drives);
      if (now === 0) return made;
      made += now;
      await this.send();
    }
    return made;
  }

  keysOf(one: VolumeInput): string[] {
    return (this.drives.volumes().find(({ volumeId }) => volumeId === one.volumeId)?.protectors ?? []).map(
      ({ keyId }) => keyId,
    );
  }

  numbered(mbamEventId: number): ClientEvent[] {
    return this.events.filter((event) => 'mbamEventId' in event && event.mbamEventId === mbamEventId);
  }
}

const keyOf = (one: VolumeInput): Guid => one.protectors[0]!.keyId as Guid;

/** A key is shown: what a disclosure writes beside its audit row. */
async function disclose(one: VolumeInput, keyId = keyOf(one), deadlineMs = 24 * HOUR): Promise<Guid> {
  const now = Date.now();
  const [opened] = await site.store.rotation.open([
    {
      ...{ requestId: newGuid(), exposureId: newGuid(), volumeId: one.volumeId as Guid, keyId },
      ...{ origin: 'DISCLOSURE', requestedBy: 'CONTOSO\\helpdesk', evenAbsent: false },
      ...{ deadlineMs: now + deadlineMs, notBeforeMs: now - 1000, atMs: now },
    },
  ]);
  return opened!.requestId!;
}

async function view(requestId: Guid): Promise<RotationView> {
  const facts = await site.store.rotation.find(requestId);
  return rotationView(facts!, Date.now());
}
const stateOf = async (requestId: Guid): Promise<string> => (await view(requestId)).state;

let alarms: Alarms;
let metrics: Metrics;
let keeper: RotationKeeper;
beforeEach(async () => {
  const log = createLogger('test', { logLevel: 'fatal' });
  alarms = new Alarms(log);
  metrics = new Metrics('recovery', { defaults: false });
  keeper = new RotationKeeper({
    ...{ store: site.store.rotation, clock: systemClock(), log, alarms, deadlineMs: HOUR },
    metrics: new RotationMetrics(metrics),
  });
  // What the test before left behind.
  await keeper.round(new AbortController().signal);
  metrics.registry.resetMetrics();
});
const round = async (): Promise<KeeperReport> => (await keeper.round(new AbortController().signal))!;

describe('rotation with the reference client', () => {
  it('replaces a disclosed key: new one committed, old one removed, reported, COMPLETED', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const old = keyOf(drive);
    expect(machine.numbered(29)).toMatchObject([{ event: 'client.recovery-key-escrowed', keyId: old }]);
    const request = await disclose(drive);
    expect(await stateOf(request)).toBe('REQUIRED');

    await machine.checkIn();
    expect(await stateOf(request)).toBe('DELIVERED');
    expect(await machine.client.follow(machine.drives)).toBe(1);
    // Not committed yet: both protectors are there, and stay.
    expect(machine.keysOf(drive)).toHaveLength(2);
    expect(await machine.client.follow(machine.drives)).toBe(0);
    expect(machine.keysOf(drive)).toContain(old);
    await machine.send();
    expect(await stateOf(request)).toBe('ESCROWED');

    await machine.follow();
    const [fresh] = machine.keysOf(drive);
    expect(machine.keysOf(drive)).toHaveLength(1);
    expect(fresh).not.toBe(old);
    expect(await view(request)).toMatchObject({ state: 'COMPLETED', newKeyId: fresh, closedAtMs: null });
    expect((await round()).completed).toBe(1);
    expect(await view(request)).toMatchObject({ state: 'COMPLETED', closedBy: 'rotation keeper' });
    expect((await round()).completed).toBe(0);
    expect(machine.numbered(30)).toMatchObject([
      { event: 'client.recovery-key-reset', keyId: old, newKeyId: fresh },
    ]);
    // Nothing is left to do, and the next check-in brings no command.
    await machine.checkIn();
    expect(machine.client.commands()).toEqual([]);
    expect(await machine.follow()).toBe(0);
    expect(machine.keysOf(drive)).toEqual([fresh]);
    await machine.client.close();
  });

  it('keeps the old protector and the same new key while nothing is committed', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const request = await disclose(drive);
    await machine.checkIn();
    await site.stopWorker();
    await machine.client.follow(machine.drives);
    const both = machine.keysOf(drive);
    for (let turn = 0; turn < 3; turn += 1) {
      await machine.client.drain({ timeoutMs: 100 });
      expect(await machine.client.follow(machine.drives)).toBe(0);
    }
    expect(machine.keysOf(drive)).toEqual(both);
    await site.startWorker();
    await machine.send();
    await machine.follow();
    expect(machine.keysOf(drive)).toEqual([both[1]]);
    expect(await stateOf(request)).toBe('COMPLETED');
    await machine.client.close();
  });

  it('a drive that fails is FAILED with its error, and is tried again', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const request = await disclose(drive);
    await machine.checkIn();
    const add = machine.drives.addProtector.bind(machine.drives);
    machine.drives.addProtector = () => Promise.reject(new Error('0x80310000 volume is locked'));
    await machine.client.follow(machine.drives);
    await machine.send();
    expect(await view(request)).toMatchObject({ state: 'FAILED' });
    expect((await view(request)).detail).toContain('0x80310000 volume is locked');
    // Added, but the process died before it knew: no second one is added.
    machine.drives.addProtector = async (id) => {
      await add(id);
      throw new Error('the agent died');
    };
    await machine.client.follow(machine.drives);
    machine.drives.addProtector = add;
    await machine.send();
    await machine.follow();
    expect(machine.keysOf(drive)).toHaveLength(1);
    expect(machine.keysOf(drive)).not.toContain(keyOf(drive));
    expect(await stateOf(request)).toBe('COMPLETED');
    await machine.client.close();
  });

  it('a client that says so and escrows nothing is AT_RISK, with an alarm', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const request = await disclose(drive);
    await machine.checkIn();
    await machine.client.reportRotation({ requestId: request, outcome: 'REMOVED', newKeyId: newGuid() });
    await machine.send();
    expect(await stateOf(request)).toBe('AT_RISK');
    expect((await round()).open.AT_RISK).toBeGreaterThan(0);
    expect(alarms.raised()).toContain('ROTATIONS_AT_RISK');
    await machine.follow();
    expect(await stateOf(request)).toBe('COMPLETED');
    await round();
    expect(alarms.raised()).not.toContain('ROTATIONS_AT_RISK');
    await machine.client.close();
  });

  it('a foreign client changes nothing, whatever it claims', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const stranger = await Machine.with();
    const request = await disclose(drive);
    await stranger.client.reportRotation({ requestId: request, outcome: 'REMOVED', newKeyId: newGuid() });
    await stranger.client.checkIn({
      machineName: 'PC',
      volumes: [{ volumeId: drive.volumeId, volumeType: 'OS', keyIds: [keyOf(drive)] }],
    });
    const own = { ...drive, protectors: [{ keyId: newGuid(), recoveryPassword: randomRecoveryPassword() }] };
    await stranger.client.escrow([own]);
    await stranger.send();
    expect(stranger.client.commands().filter((one) => one.type === 'ROTATE_KEY')).toEqual([]);
    // The three come back in any order.
    const claim = stranger.client.settled().find(({ bodyType }) => bodyType === 'ROTATION_RESULT');
    expect(claim).toMatchObject({ reason: 'ROTATION_REQUEST_UNKNOWN' });
    expect(await stateOf(request)).toBe('REQUIRED');
    await machine.checkIn();
    expect(machine.client.commands()).toMatchObject([{ type: 'ROTATE_KEY', requestId: request }]);
    await machine.follow();
    expect(await stateOf(request)).toBe('COMPLETED');
    await Promise.all([machine.client.close(), stranger.client.close()]);
  });

  it('a silent client is overdue: listed, counted and alarmed', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const request = await disclose(drive, keyOf(drive), -1000);
    const report = await round();
    expect(report.overdue).toBe(1);
    expect(alarms.raised()).toContain('ROTATIONS_OVERDUE');
    const { text } = await metrics.scrape();
    expect(text).toContain('mpe_rotations_overdue 1');
    expect(text).toContain('mpe_rotations_open{state="REQUIRED"} 1');
    const overdue = await listRotations(site.store.rotation, { open: true, overdue: true }, 10, Date.now());
    expect(overdue.map((one) => one.requestId)).toEqual([request]);
    // Late is not too late.
    await machine.checkIn();
    await machine.follow();
    await round();
    expect(alarms.raised()).not.toContain('ROTATIONS_OVERDUE');
    await machine.client.close();
  });

  it('a machine with another OS volume in a new epoch is REPLACED', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const request = await disclose(drive);
    await machine.client.renewKey();
    const fresh = volume();
    machine.drives.detach(drive.volumeId);
    machine.drives.attach(fresh);
    await machine.client.escrow([fresh]);
    await machine.send();
    expect(await stateOf(request)).toBe('REPLACED');
    expect((await round()).replaced).toBe(1);
    // Its key stays, and is exposed.
    expect(await site.store.findKeys(keyOf(drive), 2)).toMatchObject([{ readable: true, disclosed: true }]);
    await machine.client.close();
  });

  it('disclosed twice: the new key too is replaced, by the earlier deadline', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    const first = await disclose(drive);
    await machine.checkIn();
    await machine.client.follow(machine.drives);
    await machine.send();
    expect(await stateOf(first)).toBe('ESCROWED');
    const second = await disclose(drive, machine.keysOf(drive)[1] as Guid, 48 * HOUR);
    expect(await stateOf(first)).toBe('REQUIRED');
    expect(await stateOf(second)).toBe('REQUIRED');
    expect((await view(second)).deadlineMs).toBe((await view(first)).deadlineMs);
    await machine.checkIn();
    await machine.follow();
    expect(machine.keysOf(drive)).toHaveLength(1);
    expect([await stateOf(first), await stateOf(second)]).toEqual(['COMPLETED', 'COMPLETED']);
    await machine.client.close();
  });

  it('a removable drive is rotated by its next holder', async () => {
    const drive = volume('REMOVABLE');
    const [first, next] = [await Machine.with(drive), await Machine.with()];
    const request = await disclose(drive);
    first.drives.detach(drive.volumeId);
    await first.checkIn();
    await first.follow();
    expect(await view(request)).toMatchObject({ state: 'DELIVERED' });
    next.drives.attach(drive);
    await next.checkIn();
    expect(next.client.commands()).toMatchObject([{ type: 'ESCROW' }]);
    // It sends the key, proves by that that it has the drive, and is told with its next message.
    await next.follow();
    await next.checkIn();
    expect(next.client.commands()).toMatchObject([{ type: 'ROTATE_KEY', requestId: request }]);
    await next.follow();
    expect(await stateOf(request)).toBe('COMPLETED');
    expect(next.keysOf(drive)).not.toContain(keyOf(drive));
    await round();
    await first.checkIn();
    expect(first.client.commands()).toEqual([]);
    await Promise.all([first.client.close(), next.client.close()]);
  });

  it('a key that comes back with an old image is asked for again', async () => {
    const drive = volume();
    const machine = await Machine.with(drive);
    await disclose(drive);
    await machine.checkIn();
    await machine.follow();
    expect((await round()).completed).toBe(1);
    machine.drives.attach(drive);
    await machine.checkIn();
    const report = await round();
    expect(report.returned).toBe(1);
    expect((await round()).returned).toBe(0);
    await machine.checkIn();
    await machine.follow();
    expect(machine.keysOf(drive)).not.toContain(keyOf(drive));
    expect((await round()).completed).toBe(1);
    await machine.client.close();
  });

  it('an operator’s list is paced: the second machine waits for its turn', async () => {
    const [one, two] = [await Machine.with(volume()), await Machine.with(volume())];
    const opened = await requestRotations(
      site.store.rotation,
      [{ clientId: one.client.clientId }, { clientId: two.client.clientId }],
      { origin: 'OPERATOR', requestedBy: 'op', nowMs: Date.now(), deadlineMs: HOUR, perHour: 1 },
    );
    expect(opened).toHaveLength(2);
    await Promise.all([one.checkIn(), two.checkIn()]);
    expect(one.client.commands()).toHaveLength(1);
    expect(two.client.commands()).toEqual([]);
    expect(await view(opened[1]!.requestId!)).toMatchObject({
      state: 'REQUIRED',
      detail: 'waits for its turn',
    });
    await site.store.rotation.close(
      opened.map(({ requestId }) => ({
        ...{ requestId: requestId!, round: null, as: 'ABANDONED' as const },
        ...{ by: 'op', reason: 'end of test', atMs: Date.now() },
      })),
    );
    await one.checkIn();
    expect(one.client.commands()).toEqual([]);
    await Promise.all([one.client.close(), two.client.close()]);
  });
});
