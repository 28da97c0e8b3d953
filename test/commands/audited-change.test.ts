import { describe, expect, test } from 'vitest';
import { auditedChange } from '../../src/commands/audited-change.js';
import { MpeError } from '../../src/ops/errors.js';

/** What a change at the command line says whose audit row cannot be written. */
describe('an audit row that is not taken', () => {
  const refused = (cause: MpeError): Promise<Error> =>
    auditedChange(() => Promise.reject(new MpeError('AUDIT_UNAVAILABLE', 'try again', { cause }))).then(
      () => new Error('it went on'),
      (error: unknown) => error as Error,
    );

  test('for a right that the login lacks: the role has it, and nothing was changed', async () => {
    const { message } = await refused(
      new MpeError('STORE_TRANSIENT', 'writing the audit: refused (error 229)', {
        facts: { number: 229, lacksRight: true },
      }),
    );
    expect(message).toContain('nothing was changed');
    expect(message).toContain('mpe migrate --roles');
    expect(message).toContain('error 229');
  });

  test('for a moment: try again', async () => {
    const busy = new MpeError('STORE_TRANSIENT', 'writing the audit: busy', { facts: { number: 1205 } });
    expect((await refused(busy)).message).toBe('try again');
  });
});
