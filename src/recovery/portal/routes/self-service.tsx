import { readFileSync } from 'node:fs';
import type { FastifyReply } from 'fastify';
import type { ServiceContext } from '../../service/context.js';
import { FormBody } from '../form-body.js';
import type { PageHandler, PageRequest, PageRoutes } from '../page-routes.js';
import { DisclosedPage } from '../pages/disclosed.js';
import { alikeText, NoticePage, SelfServicePage, type OwnProblem } from '../pages/self-service.js';
import { sentence } from '../parts/sentence.js';
import { refusalTitle } from '../refusals.js';
import { sendPage } from '../render.js';
import { withRotations } from './helpdesk.js';

const EMPTY = { digits: '', reason: '' };

/** Self-service: the notice, then the key of one's own machine. */
export function selfService(routes: PageRoutes, context: ServiceContext): void {
  const { branding } = context.settings;
  // Read once: a missing file stops the start, not the first person who needs a key.
  const notice = branding.notice === null ? null : readFileSync(branding.notice, 'utf8').trim();
  const guarded =
    (handler: PageHandler): PageHandler =>
    async (page) => {
      if (notice !== null && !page.session.noticeAccepted)
        return sendPage(page.reply, <NoticePage frame={page.frame} text={notice} />);
      return handler(page);
    };
  routes.get(
    '/self-service',
    'own.search',
    guarded(async (page) => form(page, context, EMPTY, null, 200)),
  );
  routes.post('/self-service/notice', 'own.search', async (page) => {
    if (FormBody.of(page.request).ticked('accepted')) await context.acceptNotice(page.request);
    return page.reply.redirect('/self-service', 303);
  });
  routes.post(
    '/self-service/key',
    'own.disclose',
    guarded(async (page) => disclose(page, context)),
  );
}

async function form(
  { reply, frame, caller }: PageRequest,
  { services }: ServiceContext,
  typed: { readonly digits: string; readonly reason: string },
  problem: OwnProblem | null,
  status: number,
): Promise<FastifyReply> {
  const machines = await services.keys.ownMachines(caller);
  const reasons = services.keys.reasons(caller.source, 'recovery-password');
  return sendPage(
    reply,
    <SelfServicePage frame={frame} machines={machines} reasons={reasons} form={typed} problem={problem} />,
    status,
  );
}

async function disclose(page: PageRequest, context: ServiceContext): Promise<FastifyReply> {
  const { request, reply, frame, caller } = page;
  const body = FormBody.of(request);
  const typed = { digits: body.text('digits'), reason: body.text('reason') };
  const answer = await context.services.keys.discloseOwn(caller, {
    kind: 'recovery-password',
    keyId: typed.digits,
    reason: typed.reason,
  });
  if (answer.outcome === 'refused') {
    const [title, status] = refusalTitle(answer.refusal);
    const digits = ['NOT_FOUND', 'AMBIGUOUS', 'NOT_OWN_MACHINE', 'REQUEST_INVALID'].includes(answer.refusal);
    let detail = sentence(answer.detail);
    if (answer.refusal === 'AMBIGUOUS') {
      const alike = await context.services.keys.searchOwn(caller, typed.digits);
      if (alike.found === 'keys') detail = alikeText(alike.keys);
    }
    return form(page, context, typed, { title, detail, digits }, status);
  }
  return sendPage(
    reply,
    <DisclosedPage
      frame={frame}
      keys={await withRotations(page, context, answer)}
      withheld={answer.withheld}
      auditSequence={String(answer.auditSequence)}
      shownAtMs={answer.shownAtMs}
      reason={typed.reason}
      ticket=""
      endUser={null}
      keySeconds={context.settings.keySeconds}
      packageOf={null}
    />,
  );
}
