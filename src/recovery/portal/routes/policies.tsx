import type { FastifyReply } from 'fastify';
import { MpeError } from '../../../ops/errors.js';
import type { Guid } from '../../../protocol/guid.js';
import type { ServiceContext } from '../../service/context.js';
import type { RingChange } from '../../services.js';
import type { FormBody } from '../form-body.js';
import { guidOrNull } from '../form-body.js';
import type { PageRequest, PageRoutes } from '../page-routes.js';
import { PolicyPage } from '../pages/policy.js';
import { PolicyDetailPage } from '../pages/policy-detail.js';
import type { Done, Outcome } from '../parts/outcome.js';
import {
  formOfPolicy,
  NEW_POLICY,
  POLICY_LABELS,
  sentPolicy,
  settingsOfForm,
  type PolicyForm,
} from '../parts/policy-form.js';
import { sendPage, sendPageError } from '../render.js';
import { change, outcomeOf } from './change.js';

const HOME = '/administration/policy';

const RING_DONE: Readonly<Record<RingChange, Done>> = {
  OPEN: 'ring-opened',
  PAUSE: 'ring-paused',
  RESUME: 'ring-resumed',
};

/** Policies and rings: what there is, and what operators do with it. */
export function policies(routes: PageRoutes, context: ServiceContext): void {
  const { services } = context;
  const all = async (
    { reply, frame }: PageRequest,
    outcome: Outcome,
    form: PolicyForm,
  ): Promise<FastifyReply> => {
    const [list, rings] = await Promise.all([services.policies.list(), services.policies.rings()]);
    return sendPage(
      reply,
      <PolicyPage frame={frame} policies={list} rings={rings} outcome={outcome} form={form} />,
      outcome.problem?.status ?? 200,
    );
  };
  routes.get(HOME, 'policy.read', async (page) => all(page, outcomeOf(page), NEW_POLICY));
  routes.post(HOME, 'policy.change', async (page) =>
    change(
      page,
      async (body) => {
        const { policyId } = await services.policies.create(
          page.caller,
          settingsOfForm(sentPolicy(body), []),
        );
        return { to: `${HOME}/${policyId}`, done: 'policy-made' };
      },
      async (outcome, body) => all(page, outcome, sentPolicy(body)),
      POLICY_LABELS,
    ),
  );
  routes.post('/administration/rings', 'policy.change', async (page) =>
    change(
      page,
      async (body) => {
        const wanted = ringChangeOf(body.text('change'));
        const reason = body.text('reason');
        const said = reason === '' ? [] : [reason];
        await services.policies.setRing(page.caller, body.text('ring'), wanted, ...said);
        return { to: HOME, done: RING_DONE[wanted] };
      },
      async (outcome) => all(page, outcome, NEW_POLICY),
    ),
  );
  onePolicy(routes, context);
}

function ringChangeOf(text: string): RingChange {
  if (text === 'OPEN' || text === 'PAUSE' || text === 'RESUME') return text;
  throw new MpeError('VALUE_INVALID', 'a ring is opened, paused or resumed');
}

/** One policy: shown, changed, deployed, retired; each change of the revision that was looked at. */
function onePolicy(routes: PageRoutes, { services }: ServiceContext): void {
  const show = async (
    page: PageRequest,
    outcome: Outcome,
    sent: PolicyForm | null,
  ): Promise<FastifyReply> => {
    const policyId = policyIdOf(page);
    const policy = policyId === null ? null : await services.policies.show(policyId);
    if (policy === null) return sendPageError(page.reply, page.frame, { kind: 'not-found' });
    // Of another revision nothing that was typed is kept: it would undo what the other person did.
    const isStale = outcome.problem?.status === 409;
    return sendPage(
      page.reply,
      <PolicyDetailPage
        frame={page.frame}
        policy={policy}
        history={policy.history}
        outcome={outcome}
        form={sent === null || isStale ? formOfPolicy(policy) : sent}
      />,
      outcome.problem?.status ?? 200,
    );
  };
  const step = (
    name: 'set' | 'deploy' | 'retire',
    done: Done,
    work: (page: PageRequest, policyId: Guid, revision: number, body: FormBody) => Promise<unknown>,
  ): void =>
    routes.post(`${HOME}/:policyId/${name}`, 'policy.change', async (page) => {
      const policyId = policyIdOf(page);
      const known = policyId === null ? null : await services.policies.show(policyId);
      if (policyId === null || known === null)
        return sendPageError(page.reply, page.frame, { kind: 'not-found' });
      return change(
        page,
        async (body) => {
          await work(page, policyId, revisionOf(body), body);
          return { to: `${HOME}/${policyId}`, done };
        },
        async (outcome, body) => show(page, outcome, name === 'set' ? sentPolicy(body) : null),
        POLICY_LABELS,
      );
    });
  routes.get(`${HOME}/:policyId`, 'policy.read', async (page) => show(page, outcomeOf(page), null));
  step('set', 'policy-changed', async ({ caller }, policyId, revision, body) => {
    const { rings } = (await services.policies.show(policyId)) ?? { rings: [] };
    return services.policies.change(caller, policyId, revision, settingsOfForm(sentPolicy(body), rings));
  });
  step('deploy', 'policy-deployed', async ({ caller }, policyId, revision) =>
    services.policies.deploy(caller, policyId, revision),
  );
  step('retire', 'policy-retired', async ({ caller }, policyId, revision, body) => {
    if (!body.ticked('sure'))
      throw new MpeError('VALUE_INVALID', 'a policy is retired for good: tick that you mean it');
    return services.policies.retire(caller, policyId, revision);
  });
}

function policyIdOf({ request }: PageRequest): Guid | null {
  return guidOrNull((request.params as { readonly policyId: string }).policyId);
}

function revisionOf(body: FormBody): number {
  const revision = Number(body.text('revision'));
  if (Number.isSafeInteger(revision) && revision > 0) return revision;
  throw new MpeError('VALUE_INVALID', 'the form does not say which revision it changes: load the page again');
}
