import { describe, expect, test } from 'vitest';
import { newGuid } from '../../../src/protocol/guid.js';
import {
  COVERAGE,
  COVERAGE_IDS,
  isProtected,
  type CoverageDevice,
  type CoverageId,
} from '../../../src/recovery/coverage/definitions.js';
import { readDevices } from '../../../src/recovery/coverage/read-devices.js';
import { coverageOf, machinesOf } from '../../../src/recovery/coverage/report.js';
import type {
  CoverageClient,
  CoverageFacts,
  CoverageVolume,
  DeviceRow,
} from '../../../src/store/policy-store.js';
import { siteSeed, T0 } from '../../store/world.js';

const client = (change: Partial<CoverageClient> = {}): CoverageClient => ({
  ...{ clientId: newGuid(), state: 'ACTIVE', machineName: 'PC', domain: 'CORP', hardwareId: '', tag: '' },
  ...{ registeredAtMs: T0, checkedInAtMs: T0, otherManagers: [], hasError: false, cloned: false },
  ...change,
});
const volume = (change: Partial<CoverageVolume> = {}): CoverageVolume => ({
  ...{ clientId: newGuid(), volumeId: newGuid(), volumeType: 'OS', protection: 'ON', reportedAtMs: T0 },
  ...{ keys: 1, readable: 1, damaged: 0, exposed: 0, overdue: 0 },
  ...change,
});
const device = (change: Partial<CoverageDevice> = {}): CoverageDevice => ({
  ...{ name: 'PC', domain: 'CORP', client: client(), volumes: [volume()], escrows: true },
  ...change,
});
const idsOf = (one: CoverageDevice): CoverageId[] => COVERAGE_IDS.filter((id) => COVERAGE[id](one));

describe('definitions', () => {
  test.each([
    ['all well', device(), ['recoverable']],
    ['no client', device({ client: null, volumes: [] }), ['never-contacted']],
    [
      'registered only',
      device({ client: client({ checkedInAtMs: null }), volumes: [] }),
      ['never-contacted'],
    ],
    ['escrowed, no check-in', device({ client: client({ checkedInAtMs: null }) }), ['recoverable']],
    ['no key', device({ volumes: [volume({ readable: 0 })] }), ['encrypted-without-key']],
    [
      'one volume without',
      device({ volumes: [volume(), volume({ volumeType: 'FIXED', keys: 0, readable: 0 })] }),
      ['encrypted-without-key'],
    ],
    [
      'a removable without',
      device({ volumes: [volume(), volume({ volumeType: 'REMOVABLE', readable: 0 })] }),
      ['recoverable'],
    ],
    [
      'not encrypted',
      device({ volumes: [volume({ protection: 'OFF', keys: 0, readable: 0 })] }),
      ['not-encrypted'],
    ],
    ['no volumes', device({ volumes: [] }), ['not-encrypted']],
    [
      'no policy',
      device({ escrows: false, volumes: [volume({ readable: 0 })] }),
      ['encrypted-without-key', 'cannot-escrow'],
    ],
    [
      'blocked',
      device({ client: client({ state: 'BLOCKED' }), volumes: [volume({ readable: 0 })] }),
      ['encrypted-without-key', 'cannot-escrow'],
    ],
    [
      'an error',
      device({ client: client({ hasError: true }), volumes: [volume({ readable: 0 })] }),
      ['encrypted-without-key', 'cannot-escrow'],
    ],
    ['an error that harms no key', device({ client: client({ hasError: true }) }), ['recoverable']],
    ['conflict', device({ client: client({ otherManagers: ['MBAM'] }) }), ['recoverable', 'conflict']],
    [
      'exposed and overdue',
      device({ volumes: [volume({ exposed: 1, overdue: 1 })] }),
      ['recoverable', 'exposed', 'overdue-rotation'],
    ],
    [
      'damaged',
      device({ volumes: [volume({ readable: 0, damaged: 1 })] }),
      ['encrypted-without-key', 'damaged'],
    ],
    ['cloned', device({ client: client({ cloned: true }) }), ['recoverable', 'cloned']],
  ] as const)('%s', (_, one, ids) => expect(idsOf(one)).toEqual(ids));

  test('a volume needs a key where it is protected or locked, or has keys and says nothing', () => {
    const of = (protection: CoverageVolume['protection'], keys: number): boolean =>
      isProtected(volume({ protection, keys }));
    expect([of('ON', 0), of('UNKNOWN', 0), of('UNREPORTED', 1)]).toEqual([true, true, true]);
    expect([of('OFF', 1), of('UNREPORTED', 0)]).toEqual([false, false]);
    expect(isProtected(volume({ volumeType: 'UNKNOWN' }))).toBe(false);
  });
});

describe('the report', () => {
  const row = (machineName: string, change: Partial<DeviceRow> = {}): DeviceRow => ({
    ...{
      deviceKey: `corp\\${machineName.toLowerCase()}`,
      machineName,
      domain: 'CORP',
      hardwareId: '',
      tag: '',
    },
    ...change,
  });
  const count = (facts: Partial<CoverageFacts>, id: CoverageId): number =>
    machinesOf(coverageOf({ devices: [], clients: [], volumes: [], ...facts }, [siteSeed().policy], T0), id);

  test('counts the imported machines, the newest client of each, and says who is not among them', () => {
    const [old, now, bare, other] = [
      client({ machineName: 'PC1', checkedInAtMs: T0 - 5 }),
      client({ machineName: 'pc1', domain: 'corp' }),
      client({ machineName: 'PC2', domain: 'LAB', hardwareId: 'HW-2' }),
      client({ machineName: 'PC1', domain: 'LAB' }),
    ];
    const volumes = [
      volume({ clientId: old.clientId, readable: 0 }),
      volume({ clientId: now.clientId }),
      volume({ clientId: bare.clientId }),
    ];
    const devices = [row('PC1'), row('PC2', { hardwareId: 'hw-2' }), row('PC3')];
    const report = coverageOf(
      { devices, clients: [old, now, bare, other], volumes },
      [siteSeed().policy],
      T0,
    );
    expect(report.denominator).toEqual({ machines: 3, imported: true });
    expect(report.unlisted).toBe(1);
    expect(machinesOf(report, 'recoverable')).toBe(2);
    expect(report.lines.find((line) => line.id === 'never-contacted')?.examples).toEqual(['CORP\\PC3']);
    // A name without domain leads to whoever has it.
    const nameless = [row('PC2', { domain: '' })];
    expect(count({ devices: nameless, clients: [bare], volumes: [volumes[2]!] }, 'recoverable')).toBe(1);
  });

  test('without an inventory counts registered clients, and says so', () => {
    const one = client();
    const facts = { devices: [], clients: [one], volumes: [volume({ clientId: one.clientId })] };
    const report = coverageOf(facts, [], T0);
    expect(report.denominator).toEqual({ machines: 1, imported: false });
    expect(machinesOf(report, 'recoverable')).toBe(1);
  });

  test('the first four lines are every device once, among 40,000 too', () => {
    const clients: CoverageClient[] = [];
    const volumes: CoverageVolume[] = [];
    const devices = Array.from({ length: 40_000 }, (_, n) => {
      if (n % 100 !== 0) {
        const one = client({ machineName: `PC${n}`, otherManagers: n % 200 === 1 ? ['GROUP_POLICY'] : [] });
        clients.push(one);
        volumes.push(volume({ clientId: one.clientId, readable: n % 50 === 1 ? 0 : 1 }));
      }
      return row(`PC${n}`);
    });
    const report = coverageOf({ devices, clients, volumes }, [siteSeed().policy], T0);
    const of = (id: CoverageId): number => machinesOf(report, id);
    expect(of('never-contacted')).toBe(400);
    expect(of('encrypted-without-key')).toBe(800);
    expect(of('recoverable')).toBe(38_800);
    expect(of('not-encrypted')).toBe(0);
    expect(report.managers).toEqual({ MBAM: 0, GROUP_POLICY: 200, INTUNE: 0 });
    expect(report.lines[0]?.examples).toHaveLength(100);
  });
});

describe('an inventory as CSV', () => {
  const read = (text: string): DeviceRow[] => readDevices(Buffer.from(text));

  test('is read by its heading, with any usual separator and coding', () => {
    const expected = [
      { deviceKey: 'corp\\pc-1', machineName: 'PC-1', domain: 'CORP', hardwareId: 'A', tag: 'north' },
      { deviceKey: 'corp\\gerät-ß', machineName: 'GERÄT-ß', domain: 'CORP', hardwareId: '', tag: '' },
    ];
    const text = 'Name,Domain,Hardware ID,Owner,Tag\r\nPC-1,CORP,A,"x, y",north\r\nGERÄT-ß,CORP,,,\r\n\r\n';
    expect(read(text)).toEqual(expected);
    expect(read(`\ufeff${text}`)).toEqual(expected);
    expect(readDevices(Buffer.from(`\ufeff${text}`, 'utf16le'))).toEqual(expected);
    expect(read('tag;computer;domain;hardware_id\nnorth;PC-1;CORP;A\n;GERÄT-ß;CORP;\n')).toEqual(expected);
    expect(read('name\nCORP\\PC-9')).toMatchObject([{ machineName: 'PC-9', domain: 'CORP' }]);
  });

  test.each([
    ['', /it is empty/],
    ['host\nx', /line 1: there is no column "name"/],
    ['name,computer\na,b', /line 1: two columns are machineName/],
    ['name\n', /only a heading/],
    ['name,domain\nPC-1,CORP\npc-1,corp\n', /line 3: pc-1 is in line 2 already/],
    [
      'name,domain\nPC 1,CORP\n,CORP\nPC-3,CO RP',
      /line 2: the name has[^]*line 3: the name is empty[^]*line 4: the domain/,
    ],
    ['name,tag\nPC-1,a b', /line 2: the tag must/],
    ['name,domain\nPC-1', /line 2/],
    ['name\n"PC-1', /line 2|Quote/],
    [`name\n${'x'.repeat(65)}`, /line 2: the name has more than 64/],
  ])('is refused whole, with its lines: %j', (text, expected) => {
    expect(() => read(text)).toThrow(expected);
    expect(() => read(text)).toThrow(/nothing was changed/);
  });

  test('names twenty problems and how many more', () => {
    const many = `name\n${Array.from({ length: 30 }, () => 'a b').join('\n')}`;
    expect(() => read(many)).toThrow(/line 21[^]*and 10 more/);
    expect(() => readDevices(Buffer.from([0x6e, 0xff, 0x0a]))).toThrow(/not UTF-8/);
  });
});
