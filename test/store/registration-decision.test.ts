import { expect, test } from 'vitest';
import { decideApproval } from '../../src/store/registration-decision.js';
import { id } from './world.js';

const CLIENT = id('client', 1);
const OTHER = id('client', 2);
const refusal = (reason: string, epoch: number) => ({
  do: 'answer',
  drop: false,
  result: { status: 'REFUSED', reason, epoch },
});

test('an approval is decided by what is registered when it is given', () => {
  const known = { blocked: false, epoch: 3 };
  const blocked = { blocked: true, epoch: 3 };
  const own = { owner: CLIENT, epoch: 2 };
  const others = { owner: OTHER, epoch: 1 };
  for (const [client, key, decision] of [
    [null, null, { do: 'new-client' }],
    [known, null, { do: 'new-epoch', epoch: 4 }],
    [null, others, refusal('KEY_IN_USE', 0)],
    [known, others, refusal('KEY_IN_USE', 3)],
    [blocked, others, refusal('KEY_IN_USE', 3)],
    [blocked, null, refusal('CLIENT_BLOCKED', 3)],
    [blocked, own, refusal('CLIENT_BLOCKED', 3)],
    [
      known,
      own,
      { do: 'answer', drop: true, result: { status: 'ALREADY_REGISTERED', reason: 'NONE', epoch: 2 } },
    ],
  ] as const)
    expect(decideApproval({ client, key }, CLIENT)).toEqual(decision);
});
