import {
  BODY_TYPES,
  DISPOSITIONS,
  ITEM_REASONS,
  ITEM_STATUSES,
  REASONS,
  REGISTRATION_REASONS,
  REGISTRATION_STATUSES,
} from '../protocol/vocabulary.js';
import { bodyTypeOf } from './fixture-body.js';
import type { Fixture } from './fixture-schema.js';

/** One word of the contract with the cases that show it. */
export interface CoverageLine {
  readonly group: string;
  readonly word: string;
  readonly cases: readonly string[];
}

function note(found: Map<string, Set<string>>, group: string, word: unknown, name: string): void {
  const key = `${group} ${String(word)}`;
  found.set(key, (found.get(key) ?? new Set()).add(name));
}

/** Every value under a name, anywhere inside an expectation, matchers included. */
function valuesOf(value: unknown, name: string): unknown[] {
  if (Array.isArray(value)) return value.flatMap((entry) => valuesOf(entry, name));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, entry]) => [
    ...(key === name ? choices(entry) : []),
    ...valuesOf(entry, name),
  ]);
}

function choices(entry: unknown): unknown[] {
  if (typeof entry === 'string') return [entry];
  const oneOf = (entry as Record<string, unknown> | null)?.['$oneOf'];
  return Array.isArray(oneOf) ? oneOf : [];
}

/** What each case shows: every disposition, reason, item status and reason, body, registration. */
export function coverageOf(fixtures: readonly Fixture[]): readonly CoverageLine[] {
  const found = new Map<string, Set<string>>();
  for (const fixture of fixtures) {
    for (const { send, register, resend, expect } of fixture.steps) {
      if (send !== undefined) note(found, 'body', bodyTypeOf(send.body), fixture.name);
      if (expect === undefined) continue;
      const top = (name: string): unknown[] => choices(expect[name]);
      if (send !== undefined || resend !== undefined) {
        for (const word of top('disposition')) note(found, 'disposition', word, fixture.name);
        for (const word of top('reason')) note(found, 'reason', word, fixture.name);
        const items = [expect['volumes'], { tpm: expect['tpmOwnerAuth'] }];
        for (const word of valuesOf(items, 'status')) note(found, 'item status', word, fixture.name);
        for (const word of valuesOf(items, 'reason')) note(found, 'item reason', word, fixture.name);
      }
      if (register !== undefined) {
        for (const word of top('status')) note(found, 'registration status', word, fixture.name);
        for (const word of top('reason')) note(found, 'registration reason', word, fixture.name);
      }
    }
  }
  const groups: readonly (readonly [string, readonly string[]])[] = [
    ['body', BODY_TYPES],
    ['disposition', DISPOSITIONS],
    ['reason', REASONS],
    ['item status', ITEM_STATUSES],
    ['item reason', ITEM_REASONS],
    ['registration status', REGISTRATION_STATUSES],
    ['registration reason', REGISTRATION_REASONS],
  ];
  return groups.flatMap(([group, words]) =>
    words
      .filter((word) => word !== 'NONE')
      .map((word) => ({
        ...{ group, word },
        cases: [...(found.get(`${group} ${word}`) ?? [])].sort(),
      })),
  );
}

/** Words that no case shows. */
export function uncovered(lines: readonly CoverageLine[]): readonly CoverageLine[] {
  return lines.filter((line) => line.cases.length === 0);
}
