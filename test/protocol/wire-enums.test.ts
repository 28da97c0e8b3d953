import { describe, expect, it } from 'vitest';
import { mpe } from '../../src/protocol/generated/mpe.js';
import * as vocabulary from '../../src/protocol/vocabulary.js';
import * as wire from '../../src/protocol/wire-enums.js';

interface AnyEnum {
  readonly table: object;
  word(number: number): string | undefined;
  number(word: never): number;
}

/** [enum of the generated module, prefix of its names, our table, our words, our word for 0 or none] */
const cases: [string, object, string, AnyEnum, readonly string[], string | null][] = [
  ['BodyType', mpe.v1.BodyType, 'BODY_TYPE_', wire.bodyTypeWire, vocabulary.BODY_TYPES, null],
  ['VolumeType', mpe.v1.VolumeType, 'VOLUME_TYPE_', wire.volumeTypeWire, vocabulary.VOLUME_TYPES, 'UNKNOWN'],
  [
    'ProtectionState',
    mpe.v1.ProtectionState,
    'PROTECTION_STATE_',
    wire.protectionStateWire,
    vocabulary.PROTECTION_STATES,
    'UNREPORTED',
  ],
  ['Disposition', mpe.v1.Disposition, 'DISPOSITION_', wire.dispositionWire, vocabulary.DISPOSITIONS, null],
  ['Retry', mpe.v1.Retry, 'RETRY_', wire.retryWire, vocabulary.RETRIES, 'NONE'],
  ['Reason', mpe.v1.Reason, 'REASON_', wire.reasonWire, vocabulary.REASONS, 'NONE'],
  ['ItemStatus', mpe.v1.ItemStatus, 'ITEM_STATUS_', wire.itemStatusWire, vocabulary.ITEM_STATUSES, null],
  ['ItemReason', mpe.v1.ItemReason, 'ITEM_REASON_', wire.itemReasonWire, vocabulary.ITEM_REASONS, 'NONE'],
  [
    'RotationResult.Outcome',
    mpe.v1.RotationResult.Outcome,
    'OUTCOME_',
    wire.rotationOutcomeWire,
    vocabulary.ROTATION_OUTCOMES,
    null,
  ],
  [
    'OtherManager',
    mpe.v1.OtherManager,
    'OTHER_MANAGER_',
    wire.otherManagerWire,
    vocabulary.OTHER_MANAGERS,
    null,
  ],
  ['PolicyMode', mpe.v1.PolicyMode, 'POLICY_MODE_', wire.policyModeWire, vocabulary.POLICY_MODES, null],
  ['JoinType', mpe.v1.JoinType, 'JOIN_TYPE_', wire.joinTypeWire, vocabulary.JOIN_TYPES, 'UNSPECIFIED'],
  [
    'RegistrationStatus',
    mpe.v1.RegistrationStatus,
    'REGISTRATION_STATUS_',
    wire.registrationStatusWire,
    vocabulary.REGISTRATION_STATUSES,
    null,
  ],
  [
    'RegistrationReason',
    mpe.v1.RegistrationReason,
    'REGISTRATION_REASON_',
    wire.registrationReasonWire,
    vocabulary.REGISTRATION_REASONS,
    'NONE',
  ],
];

describe('enums on the wire', () => {
  it.each(cases)(
    '%s: every name has its word and number, and no other',
    (_, proto, prefix, ours, words, zero) => {
      const expected = new Map<string, number>();
      for (const [name, number] of Object.entries(proto)) {
        if (typeof number !== 'number') continue;
        const word = name.slice(prefix.length);
        expect(name.startsWith(prefix)).toBe(true);
        if (word === 'UNSPECIFIED') {
          if (zero !== null) expected.set(zero, number);
        } else expected.set(word, number);
      }
      expect(new Map(Object.entries(ours.table))).toEqual(expected);
      expect([...expected.keys()].sort()).toEqual([...words].sort());
      for (const [word, number] of expected) {
        expect(ours.word(number)).toBe(word);
        expect(ours.number(word as never)).toBe(number);
      }
    },
  );

  it('covers every enum of the contract', () => {
    const all = Object.entries(mpe.v1)
      .filter(([, value]) => typeof value === 'object')
      .map(([name]) => name);
    // Nested enums live inside their message's class.
    expect([...all, 'RotationResult.Outcome'].sort()).toEqual(cases.map(([name]) => name).sort());
  });

  it.each([-1, 99, 0.5, Number.NaN])('has no word for %d', (number) => {
    for (const [, , , ours] of cases) expect(ours.word(number)).toBeUndefined();
  });

  it('keeps the number of a body or volume type that is newer', () => {
    expect(wire.bodyTypeWord(77)).toBe(77);
    expect(wire.bodyTypeNumber(77)).toBe(77);
    expect(wire.bodyTypeWord(4)).toBe('CHECK_IN');
    expect(wire.volumeTypeWord(9)).toBe(9);
    expect(wire.volumeTypeNumber(9)).toBe(9);
    expect(wire.volumeTypeNumber('REMOVABLE')).toBe(3);
  });

  it('has one rule for every reason', () => {
    expect(Object.keys(vocabulary.REASON_TABLE).sort()).toEqual(
      vocabulary.REASONS.filter((reason) => reason !== 'NONE').sort(),
    );
  });
});
