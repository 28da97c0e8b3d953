import type { BuiltCase } from './built-case.js';
import { implicitRegistrations } from './build-case.js';
import type { Fixture, Step } from './fixture-schema.js';
import { permittedOrder, type Orderable, type OrderKind } from './order.js';

/** A case with its tokens. */
export interface ReadyCase {
  readonly file: string;
  readonly fixture: Fixture;
  readonly built: BuiltCase;
}

/** One thing to do, in its place in the order. */
export interface PlannedStep extends Orderable {
  readonly ready: ReadyCase;
  readonly step: Step;
}

function registrationStep(id: string, client: string): Step {
  return {
    id,
    after: [],
    register: { client, key: 'k1', token: 'site' },
    expect: { status: { $oneOf: ['REGISTERED', 'ALREADY_REGISTERED'] } },
  };
}

/** Clients that must be registered before a step. */
function clientsOf(step: Step): readonly string[] {
  const { send, register, operator } = step;
  const ofKey = (key: string): string[] => (key.includes('/') ? [key.slice(0, key.indexOf('/'))] : []);
  return [
    ...(send === undefined
      ? []
      : [
          send.client,
          ...ofKey(send.key),
          ...(send.channel?.client === undefined ? [] : [send.channel.client]),
        ]),
    ...(register === undefined ? [] : [register.client, ...ofKey(register.key)]),
    ...(operator !== undefined && 'block' in operator ? [operator.block] : []),
  ];
}

/** The steps of all cases in one permitted order. */
export function planSet(
  cases: readonly ReadyCase[],
  kind: OrderKind,
  seed: number,
  target: 'gateway' | 'in-process',
): readonly PlannedStep[] {
  const items = cases.flatMap((ready): PlannedStep[] => {
    const { fixture } = ready;
    const key = (id: string): string => `${fixture.name}/${id}`;
    const implicit = new Map(implicitRegistrations(fixture).map(({ id, register }) => [register.client, id]));
    const before = [...implicit].map(([client, id]) => ({
      ...{ key: key(id), after: [], ready },
      step: registrationStep(id, client),
    }));
    const own = fixture.steps.map((step) => ({
      key: key(step.id),
      after: [
        ...step.after.map(key),
        ...clientsOf(step).flatMap((client) => {
          const id = implicit.get(client);
          return id === undefined ? [] : [key(id)];
        }),
      ],
      ready,
      step,
    }));
    return [...before, ...own];
  });
  // Left out only after ordering, so that what waits for a left-out step still keeps its place.
  return permittedOrder(items, kind, seed).filter(
    ({ step }) => step.only === undefined || step.only === target,
  );
}
