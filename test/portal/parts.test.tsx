import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { FormBody } from '../../src/recovery/portal/form-body.js';
import { CoveragePage } from '../../src/recovery/portal/pages/coverage.js';
import { MessagePage } from '../../src/recovery/portal/pages/message.js';
import { MpeError } from '../../src/ops/errors.js';
import { shareText } from '../../src/recovery/portal/parts/bars.js';
import { choiceValue, readChoice } from '../../src/recovery/portal/parts/key-choice.js';
import { spokenGroup } from '../../src/recovery/portal/parts/key-groups.js';
import { RotationPanel } from '../../src/recovery/portal/parts/rotation.js';
import { withRotations } from '../../src/recovery/portal/routes/helpdesk.js';
import { allLines, auditCsv } from '../../src/recovery/portal/routes/reports.js';
import { checkTyping } from '../../src/recovery/portal/typing-check.js';
import type { AuditLine, CoverageReport } from '../../src/recovery/services.js';

const VALID = '471207-278498-422125-177177-561902-537405-468006-693451';

describe('typing help', () => {
  test('takes the published vector in every notation', () => {
    for (const text of [VALID, VALID.replaceAll('-', ' '), VALID.replaceAll('-', ''), ` ${VALID}\n`])
      expect(checkTyping(text)).toEqual({ fine: true, sentences: [] });
  });

  test('names every group that is mistyped, too short, too long or too large', () => {
    expect(checkTyping('471207-278498-422126-177177-561902-537405-468006-888888').sentences).toEqual([
      'Group 3 is mistyped.',
      'Group 8 is mistyped.',
    ]);
    expect(checkTyping('4712071-27849-422125-177177-561902-537405-468006-693451').sentences).toEqual([
      'Group 1 has 7 digits instead of six.',
      'Group 2 has 5 digits instead of six.',
    ]);
    expect(checkTyping('471207').sentences).toEqual(['There is one group; a recovery key has eight.']);
    expect(checkTyping(`${VALID}-471207`).sentences).toEqual(['There is more after the eighth group.']);
    expect(checkTyping('abc').sentences).toEqual(['No digits were typed.']);
  });

  test('of any password, one digit changed in one group names that group and no other', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.nat(7),
        fc.nat(5),
        fc.integer({ min: 1, max: 9 }),
        (bytes, group, place, by) => {
          const groups = formatRecoveryPassword(bytes).split('-');
          const digits = Array.from(groups[group]!);
          digits[place] = String((Number(digits[place]) + by) % 10);
          groups[group] = digits.join('');
          expect(checkTyping(groups.join('-')).sentences).toEqual([`Group ${group + 1} is mistyped.`]);
        },
      ),
    );
  });

  test('never repeats a digit of what was typed', () => {
    expect(checkTyping('111112-278498').sentences.join(' ')).not.toMatch(/111112|278498/);
  });
});

test('a group is said digit by digit, in two breaths', () => {
  expect(spokenGroup('048279')).toEqual(['zero four eight', 'two seven nine']);
});

test('text of others is escaped wherever it stands', async () => {
  const text = `"><script>alert('1')</script>`;
  const frame = {
    ...{ company: text, portal: 'helpdesk' as const, csrf: text, secondsLeft: 10 },
    person: { name: text, roles: ['operator'], signIn: 'local' },
    helpdesk: { text, url: null },
  } as const;
  const html = String(
    await (
      <MessagePage frame={frame} title={text} next={[text, text]}>
        <p>{text}</p>
      </MessagePage>
    ),
  );
  expect(html).not.toContain('<script>');
  expect(html).toContain('&quot;&gt;&lt;script&gt;');
});

test('CSV keeps formulas as text and every column', () => {
  const line: AuditLine = {
    ...{
      sequence: '7',
      atMs: 0,
      source: 'Helpdesk',
      result: 'Failed',
      helpdeskUser: '=cmd()|x',
      endUser: '',
    },
    ...{ machine: 'PC "1", left', keyType: '', keyId: '', reason: '@sum', ticket: '-1', detail: '' },
  };
  const [head, row] = auditCsv([line]).split('\r\n');
  expect(head).toContain('Helpdesk User,End User,Computer,Key Type,Key ID,Reason Description');
  expect(row).toBe(`1970-01-01T00:00:00.000Z,Helpdesk,Failed,'=cmd()|x,,"PC ""1"", left",,,'@sum,'-1,,7`);
});

test('a report that a file does not hold is refused, not cut', async () => {
  const line = { sequence: '7' } as AuditLine;
  const pages = (count: number) => {
    let read = 0;
    return () => Promise.resolve({ lines: Array<AuditLine>(1000).fill(line), more: (read += 1) < count });
  };
  expect(await allLines(pages(100))).toHaveLength(100_000);
  await expect(allLines(pages(101))).rejects.toMatchObject({
    code: 'VALUE_INVALID',
    message: expect.stringContaining('choose a shorter time') as string,
  });
});

test('keys that are shown stay shown where the state of their rotation cannot be read', async () => {
  const watch = () => Promise.reject(new MpeError('STORE_TRANSIENT', 'the database does not answer'));
  const key = { rotationRequestId: '00000000-0000-4000-8000-000000000001' };
  const [one] = await withRotations(
    {} as Parameters<typeof withRotations>[0],
    { services: { rotations: { watch } } } as unknown as Parameters<typeof withRotations>[1],
    { outcome: 'shown', keys: [key] } as unknown as Parameters<typeof withRotations>[2],
  );
  expect(one).toEqual({ key, rotation: null });
  const html = String(await (<RotationPanel line={null} href="/helpdesk/rotation/1" />));
  expect(html).toContain('A new key was asked for');
  expect(html).not.toContain('Nothing to replace');
});

test('coverage names the other managers and what the inventory does not know', async () => {
  const frame = {
    ...{ company: 'Contoso', portal: 'helpdesk' as const, csrf: '', secondsLeft: null, person: null },
    helpdesk: { text: '', url: null },
  };
  const line = (id: string, machines: number): CoverageReport['lines'][number] => ({
    ...{ id, label: id, machines, examples: [] },
  });
  const report: CoverageReport = {
    ...{ atMs: 0, denominator: { machines: 40_000, imported: true }, unlisted: 2 },
    lines: [line('recoverable', 39_214), line('conflict', 201)],
    managers: { MBAM: 0, GROUP_POLICY: 200, INTUNE: 1 },
  };
  const html = String(await (<CoveragePage frame={frame} report={report} />));
  expect(html).toContain('98.0 %');
  expect(html).toContain('group policy 200, Intune 1');
  expect(html).toMatch(/2 registered machines are not in\s+the imported inventory/);
});

test('a share is never told as all or nothing unless it is', () => {
  expect([shareText(0, 9), shareText(1, 40_000), shareText(39_999, 40_000), shareText(9, 9)]).toEqual([
    '0 %',
    '0.1 %',
    '99.9 %',
    '100 %',
  ]);
});

test('fields of forms: strings alone, cut, first of many; a choice is read as it was written', () => {
  const body = new FormBody({ a: ' x ', b: ['1', '2'], c: { d: 1 }, e: 'y'.repeat(500) });
  expect([body.text('a'), body.text('b'), body.text('c'), body.text('none')]).toEqual(['x', '1', '', '']);
  expect(body.text('e', 10)).toHaveLength(10);
  const choice = {
    keyId: '8637036e-b379-4798-bd9e-5a0b36296de3',
    volumeId: 'b3790000-b379-4798-bd9e-5a0b36296de3',
    hasPackage: true,
  };
  expect(readChoice(choiceValue(choice))).toEqual(choice);
  expect(readChoice('8637036e')).toBeNull();
});
