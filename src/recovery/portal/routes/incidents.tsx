import type { FastifyReply } from 'fastify';
import { MpeError } from '../../../ops/errors.js';
import type { ServiceContext } from '../../service/context.js';
import type { FormBody } from '../form-body.js';
import type { PageRequest, PageRoutes } from '../page-routes.js';
import { AccountsPage, IncidentsPage, NEW_INCIDENT, type IncidentForm } from '../pages/incidents.js';
import type { Outcome } from '../parts/outcome.js';
import { sendPage } from '../render.js';
import { change, outcomeOf } from './change.js';

const HOME = '/administration/incidents';
const ACCOUNTS = '/administration/accounts';

/** Incidents: proposed by one, confirmed by another, ended by either. */
export function incidents(routes: PageRoutes, { services }: ServiceContext): void {
  const show = async (
    { reply, frame }: PageRequest,
    outcome: Outcome,
    form: IncidentForm,
  ): Promise<FastifyReply> =>
    sendPage(
      reply,
      <IncidentsPage
        frame={frame}
        incidents={await services.incidents.list()}
        outcome={outcome}
        form={form}
      />,
      outcome.problem?.status ?? 200,
    );
  routes.get(HOME, 'incident.list', async (page) => show(page, outcomeOf(page), NEW_INCIDENT));
  routes.post(`${HOME}/propose`, 'incident.open', async (page) =>
    change(
      page,
      async (body) => {
        const form = sentIncident(body);
        await services.incidents.propose(page.caller, {
          title: form.title,
          machines: form.machines
            .split(/[\r\n,;]+/)
            .map((name) => name.trim())
            .filter((name) => name !== ''),
          hours: Number(form.hours),
        });
        return { to: HOME, done: 'incident-proposed' };
      },
      async (outcome, body) => show(page, outcome, sentIncident(body)),
    ),
  );
  for (const [step, done] of [
    ['confirm', 'incident-confirmed'],
    ['end', 'incident-ended'],
  ] as const)
    routes.post(`${HOME}/${step}`, 'incident.open', async (page) =>
      change(
        page,
        async (body) => {
          const incidentId = body.guid('incident');
          if (incidentId === null) throw new MpeError('VALUE_INVALID', 'name one incident');
          await services.incidents[step](page.caller, incidentId);
          return { to: HOME, done };
        },
        async (outcome) => show(page, outcome, NEW_INCIDENT),
      ),
    );
}

function sentIncident(body: FormBody): IncidentForm {
  return {
    title: body.text('title'),
    machines: body.text('machines', 100_000),
    hours: body.text('hours'),
  };
}

/** Local accounts: who there is, and who may sign in no more. */
export function accounts(routes: PageRoutes, { services }: ServiceContext): void {
  const show = async ({ reply, frame }: PageRequest, outcome: Outcome): Promise<FastifyReply> =>
    sendPage(
      reply,
      <AccountsPage frame={frame} accounts={await services.people.list()} outcome={outcome} />,
      outcome.problem?.status ?? 200,
    );
  routes.get(ACCOUNTS, 'people.list', async (page) => show(page, outcomeOf(page)));
  routes.post(ACCOUNTS, 'people.disable', async (page) =>
    change(
      page,
      async (body) => {
        const disabled = body.ticked('disabled');
        await services.people.setDisabled(page.caller, body.text('name'), disabled);
        return { to: ACCOUNTS, done: disabled ? 'account-disabled' : 'account-enabled' };
      },
      async (outcome) => show(page, outcome),
    ),
  );
}
