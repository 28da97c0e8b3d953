import type { FastifyReply } from 'fastify';
import { isMpeError } from '../../../ops/errors.js';
import type { ServiceContext } from '../../service/context.js';
import type { Disclosure, KeyRequest, RotationLine } from '../../services.js';
import { FormBody, guidOrNull } from '../form-body.js';
import { endUserOf, type PageRequest, type PageRoutes } from '../page-routes.js';
import { DisclosedPage } from '../pages/disclosed.js';
import { MessagePage } from '../pages/message.js';
import { MatchesPage, RecoverPage, type FormProblem, type RecoverForm } from '../pages/recover.js';
import { TypingPage } from '../pages/typing.js';
import { PostForm, Submit } from '../parts/form.js';
import { readChoice, type KeyChoice } from '../parts/key-choice.js';
import { sentence } from '../parts/sentence.js';
import { refusalTitle } from '../refusals.js';
import { sendPage } from '../render.js';
import { checkTyping } from '../typing-check.js';
import { sendFile } from '../send-file.js';

const EMPTY: RecoverForm = { domain: '', account: '', digits: '' };

/** Drive recovery: search, list, disclosure, key package, typing help. */
export function driveRecovery(routes: PageRoutes, context: ServiceContext): void {
  routes.get('/helpdesk', 'key.search', async ({ frame, reply }) =>
    sendPage(reply, <RecoverPage frame={frame} form={EMPTY} problem={null} />),
  );
  routes.post('/helpdesk/search', 'key.search', async (page) => search(page, context));
  routes.post('/helpdesk/disclose', 'key.disclose', async (page) => disclose(page, context));
  routes.post('/helpdesk/package', 'key.disclose', async (page) => download(page, context));
  routes.get('/helpdesk/typing', 'key.search', async ({ frame, reply }) =>
    sendPage(reply, <TypingPage frame={frame} result={null} />),
  );
  routes.post('/helpdesk/typing', 'key.search', async ({ request, frame, reply }) => {
    const result = checkTyping(FormBody.of(request).text('typed'));
    return sendPage(reply, <TypingPage frame={frame} result={result} />);
  });
}

async function search(page: PageRequest, { services }: ServiceContext): Promise<FastifyReply> {
  const { request, reply, frame, caller } = page;
  const body = FormBody.of(request);
  const form = { domain: body.text('domain'), account: body.text('account'), digits: body.text('digits') };
  const again = async (problem: FormProblem, status: number): Promise<FastifyReply> =>
    sendPage(reply, <RecoverPage frame={frame} form={form} problem={problem} />, status);
  const user = endUserOf(body);
  const query = { by: 'key-id', digits: form.digits } as const;
  const found = await services.keys.search(caller, query, user ?? undefined);
  if (found.found === 'refused') {
    return found.refusal === 'USER_REQUIRED'
      ? again({ field: 'account', title: 'The user is missing', detail: sentence(found.detail) }, 403)
      : again({ field: 'digits', title: 'That is no recovery key ID', detail: sentence(found.detail) }, 400);
  }
  if (found.keys.length === 0) return again(nothingFound(user !== null), 404);
  const reasons = services.keys.reasons(caller.source, 'recovery-password');
  const { keys, more } = found;
  return sendPage(reply, <MatchesPage frame={frame} form={form} keys={keys} more={more} reasons={reasons} />);
}

function nothingFound(withUser: boolean): FormProblem {
  return {
    field: 'digits',
    title: 'No such key',
    detail: withUser
      ? 'No machine that this user signed in to has sent a key with this ID. Compare the ID, the domain and the account.'
      : 'No machine has sent a key with this ID. Compare it once more: only 0 to 9 and A to F occur.',
  };
}

/** What the forms of the second step and of the package carry. */
function requestOf(body: FormBody, kind: KeyRequest['kind']): { choice: KeyChoice; key: KeyRequest } | null {
  const choice = readChoice(body.text('key'));
  const keyId = choice === null ? null : guidOrNull(choice.keyId);
  const volumeId = choice === null ? null : guidOrNull(choice.volumeId);
  if (choice === null || keyId === null || volumeId === null) return null;
  const [reason, other, ticket] = [
    body.text('reason', 300),
    body.text('other', 256),
    body.text('ticket', 100),
  ];
  const endUser = endUserOf(body);
  return {
    choice,
    key: {
      ...{ kind, keyId, volumeId },
      reason: reason === 'Other' && other !== '' ? `Other: ${other}` : reason,
      ...(ticket === '' ? {} : { ticket }),
      ...(endUser === null ? {} : { endUser }),
    },
  };
}

async function disclose(page: PageRequest, context: ServiceContext): Promise<FastifyReply> {
  const { request, reply, frame, caller } = page;
  const body = FormBody.of(request);
  const asked = requestOf(body, 'recovery-password');
  if (asked === null) return nothingChosen(page);
  const answer = await context.services.keys.disclose(caller, asked.key);
  if (answer.outcome === 'refused') return refused(page, answer, asked.key);
  return sendPage(
    reply,
    <DisclosedPage
      frame={frame}
      keys={await withRotations(page, context, answer)}
      withheld={answer.withheld}
      auditSequence={String(answer.auditSequence)}
      shownAtMs={answer.shownAtMs}
      reason={asked.key.reason}
      ticket={asked.key.ticket ?? ''}
      endUser={asked.key.endUser ?? null}
      keySeconds={context.settings.keySeconds}
      packageOf={asked.choice.hasPackage ? body.text('key') : null}
    />,
  );
}

/**
 * The keys of an answer, each with how its rotation stands. The keys are shown and counted already, so a
 * database that does not answer now takes the state of the rotation from the page, never the keys.
 */
export async function withRotations(
  { caller }: PageRequest,
  { services }: ServiceContext,
  answer: Extract<Disclosure, { outcome: 'shown' }>,
): Promise<readonly { key: (typeof answer.keys)[number]; rotation: RotationLine | null }[]> {
  return Promise.all(
    answer.keys.map(async (key) => {
      const id = key.rotationRequestId;
      const rotation = id === null ? null : await services.rotations.watch(caller, id).catch(unread);
      return { key, rotation };
    }),
  );
}

function unread(error: unknown): null {
  if (isMpeError(error)) return null;
  throw error;
}

async function download(page: PageRequest, { services }: ServiceContext): Promise<FastifyReply> {
  const asked = requestOf(FormBody.of(page.request), 'key-package');
  if (asked === null) return nothingChosen(page);
  const answer = await services.keys.disclose(page.caller, asked.key);
  if (answer.outcome === 'refused') return refused(page, answer, asked.key);
  const [first] = answer.keys;
  if (first === undefined || typeof first.value === 'string') return nothingChosen(page);
  const name = `BitLocker Key Package ${first.keyId.toUpperCase()}.KPG`;
  return sendFile(page.reply, name, 'application/octet-stream', first.value);
}

async function nothingChosen({ frame, reply }: PageRequest): Promise<FastifyReply> {
  return sendPage(
    reply,
    <MessagePage
      frame={frame}
      title="No key was chosen"
      section="recovery"
      next={['/helpdesk', 'Search again']}
    >
      <p>Search for the key ID and choose one of the keys.</p>
    </MessagePage>,
    400,
  );
}

/** Why nothing is shown, as a page; where the reason is wrong alone, a way back to the key. */
async function refused(
  { frame, reply }: PageRequest,
  answer: Extract<Disclosure, { outcome: 'refused' }>,
  { keyId = '', endUser }: KeyRequest,
): Promise<FastifyReply> {
  const [title, status] = refusalTitle(answer.refusal);
  const isWithin = answer.refusal === 'REASON_INVALID';
  return sendPage(
    reply,
    <MessagePage
      frame={frame}
      title={title}
      section="recovery"
      next={isWithin ? null : ['/helpdesk', 'Search again']}
    >
      <p>{sentence(answer.detail)}</p>
      {isWithin ? (
        <PostForm action="/helpdesk/search" csrf={frame.csrf}>
          <input type="hidden" name="digits" value={keyId} />
          <input type="hidden" name="domain" value={endUser?.domain ?? ''} />
          <input type="hidden" name="account" value={endUser?.account ?? ''} />
          <div class="row">
            <Submit>Choose again</Submit>
          </div>
        </PostForm>
      ) : null}
      {answer.auditSequence === null ? null : (
        <p class="soft small">Recorded as row {String(answer.auditSequence)} of the audit.</p>
      )}
    </MessagePage>,
    status,
  );
}
