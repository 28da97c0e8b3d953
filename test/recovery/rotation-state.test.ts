import { describe, expect, it } from 'vitest';
import {
  closesAs,
  ROTATION_STATES,
  rotationState,
  type RotationEvidence,
  type RotationState,
} from '../../src/recovery/rotation/state.js';
import { isRotationTransition, ROTATION_TRANSITIONS } from '../../src/recovery/rotation/transitions.js';

const FACTS = [
  'newKeyCommitted',
  'exposedKeyGone',
  'heldElsewhere',
  'osVolumeReplaced',
  'newKeyUncommitted',
  'failed',
  'delivered',
] as const;
type Fact = (typeof FACTS)[number];

/** `1` it holds, `0` it does not, `-` whichever; in the order of {@link FACTS}. */
const TABLE: readonly (readonly [string, RotationState])[] = [
  // E1 E2 elsewhere replaced uncommitted failed delivered
  ['1 1 0 - - - -', 'COMPLETED'],
  ['1 1 1 1 - - -', 'REPLACED'],
  ['1 0 - 1 - - -', 'REPLACED'],
  ['0 - - 1 - - -', 'REPLACED'],
  ['1 1 1 0 - - -', 'ESCROWED'],
  ['1 0 - 0 - - -', 'ESCROWED'],
  ['0 1 - 0 - - -', 'AT_RISK'],
  ['0 0 - 0 1 - -', 'AT_RISK'],
  ['0 0 - 0 0 1 -', 'FAILED'],
  ['0 0 - 0 0 0 1', 'DELIVERED'],
  ['0 0 - 0 0 0 0', 'REQUIRED'],
];

const combinations: RotationEvidence[] = Array.from({ length: 2 ** FACTS.length }, (_, bits) => ({
  closed: null,
  ...(Object.fromEntries(FACTS.map((fact, i) => [fact, (bits & (1 << i)) !== 0])) as Record<Fact, boolean>),
}));

const fits = (pattern: string, evidence: RotationEvidence): boolean =>
  pattern.split(' ').every((mark, i) => mark === '-' || (mark === '1') === evidence[FACTS[i]!]);

describe('the state of a rotation', () => {
  it('is that of the one row of the table that fits, for each combination of evidence', () => {
    expect(combinations).toHaveLength(128);
    for (const evidence of combinations) {
      const rows = TABLE.filter(([pattern]) => fits(pattern, evidence));
      expect(rows).toHaveLength(1);
      expect(rotationState(evidence), JSON.stringify(evidence)).toBe(rows[0]![1]);
    }
    expect(new Set(TABLE.map(([, state]) => state)).size).toBe(ROTATION_STATES.length - 1);
  });

  it('that is closed stays as it was closed, whatever is known', () => {
    for (const closed of ['COMPLETED', 'REPLACED', 'ABANDONED'] as const) {
      for (const evidence of combinations) expect(rotationState({ ...evidence, closed })).toBe(closed);
    }
  });

  it('is COMPLETED by no evidence without E1 and E2', () => {
    for (const evidence of combinations) {
      if (rotationState(evidence) === 'COMPLETED')
        expect(evidence).toMatchObject({ newKeyCommitted: true, exposedKeyGone: true });
    }
  });

  it('closes a request where it is COMPLETED or REPLACED', () => {
    expect(ROTATION_STATES.filter((state) => closesAs(state) !== null)).toEqual(['COMPLETED', 'REPLACED']);
  });
});

describe('transitions', () => {
  it('are all in the table, whichever fact comes or goes', () => {
    const missing = new Set<string>();
    for (const before of combinations) {
      for (const fact of FACTS) {
        const after = { ...before, [fact]: !before[fact] };
        const [from, to] = [rotationState(before), rotationState(after)];
        if (from !== to && !isRotationTransition(from, to)) missing.add(`${from} -> ${to} by ${fact}`);
      }
      // An exposure takes back all that was known since the one before it.
      const exposed = combinations[0]!;
      const [from, to] = [rotationState(before), rotationState(exposed)];
      if (from !== to && !isRotationTransition(from, to)) missing.add(`${from} -> ${to} by an exposure`);
      const abandoned = rotationState({ ...before, closed: 'ABANDONED' });
      if (closesAs(from) === null) expect(isRotationTransition(from, abandoned)).toBe(true);
    }
    expect([...missing].sort()).toEqual([]);
  });

  it('are each once in the table, with their evidence, and none leads out of ABANDONED', () => {
    const names = ROTATION_TRANSITIONS.map(({ from, to }) => `${from} ${to}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { evidence } of ROTATION_TRANSITIONS) expect(evidence).not.toBe('');
    expect(ROTATION_TRANSITIONS.filter(({ from }) => from === 'ABANDONED')).toEqual([]);
    expect(
      ROTATION_TRANSITIONS.filter(({ to }) => to === 'COMPLETED').every(({ evidence }) =>
        evidence.includes('E1 and E2'),
      ),
    ).toBe(true);
  });
});
