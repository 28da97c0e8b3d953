import type { FastifyReply } from 'fastify';
import { MpeError } from '../../../ops/errors.js';
import type { Guid } from '../../../protocol/guid.js';
import type { ServiceContext } from '../../service/context.js';
import type { RotationTarget } from '../../services.js';
import { FormBody, guidOrNull } from '../form-body.js';
import type { PageRequest, PageRoutes } from '../page-routes.js';
import { NEW_REQUEST, RotationsPage, type RequestForm, type RotationForm } from '../pages/rotations.js';
import type { Outcome } from '../parts/outcome.js';
import { sendPage } from '../render.js';
import { change, outcomeOf, type Labels } from './change.js';

const HOME = '/administration/rotations';
const LIST = 200;
const IDS = 100;
const DAY_MS = 86_400_000;

const LABELS: Labels = {
  ids: ['ids', 'Ids'],
  days: ['days', 'Within days'],
  perHour: ['perHour', 'Machines an hour'],
};

/** Rotations: the list, giving one up, asking for more. */
export function rotations(routes: PageRoutes, { services }: ServiceContext): void {
  const show = async (page: PageRequest, outcome: Outcome, request: RequestForm): Promise<FastifyReply> => {
    const form = filterOf(page);
    const lines = await services.rotations.list({
      ...(form.machine === '' ? {} : { machine: form.machine }),
      ...(form.show === 'open' ? { open: true } : {}),
      ...(form.show === 'overdue' ? { overdue: true } : {}),
      limit: LIST,
    });
    return sendPage(
      page.reply,
      <RotationsPage
        frame={page.frame}
        form={form}
        lines={lines}
        limit={LIST}
        outcome={outcome}
        request={request}
      />,
      outcome.problem?.status ?? 200,
    );
  };
  routes.get(HOME, 'rotation.list', async (page) => show(page, outcomeOf(page), NEW_REQUEST));
  routes.post(`${HOME}/:requestId/abandon`, 'rotation.abandon', async (page) =>
    change(
      page,
      async (body) => {
        const requestId = guidOrNull((page.request.params as { requestId: string }).requestId);
        const reason = body.text('reason', 256);
        if (requestId === null) throw new MpeError('VALUE_INVALID', 'there is no such rotation');
        if (reason === '') throw new MpeError('VALUE_INVALID', 'say why you give the rotation up');
        await services.rotations.abandon(page.caller, requestId, reason);
        return { to: HOME, done: 'rotation-abandoned' };
      },
      async (outcome) => show(page, outcome, NEW_REQUEST),
    ),
  );
  routes.post(`${HOME}/request`, 'rotation.request', async (page) =>
    change(
      page,
      async (body) => {
        const { target, days } = requestOf(body);
        const { requested } = await services.rotations.request(page.caller, target, days * DAY_MS);
        if (requested === 0)
          throw new MpeError(
            'VALUE_INVALID',
            'nothing is to be replaced: no machine that was named here holds a key that it sent, or the id is mistyped',
          );
        return { to: HOME, done: 'rotation-requested' };
      },
      async (outcome, body) => show(page, outcome, sentRequest(body)),
      LABELS,
    ),
  );
}

function filterOf({ request }: PageRequest): RotationForm {
  const query = new FormBody(request.query);
  const show = query.text('show');
  return { machine: query.text('machine'), show: show === 'all' || show === 'overdue' ? show : 'open' };
}

function sentRequest(body: FormBody): RequestForm {
  return {
    kind: body.text('kind') === 'volume' ? 'volume' : 'clients',
    ids: body.text('ids', 4000),
    days: body.text('days'),
    perHour: body.text('perHour'),
  };
}

/** What a form asks for. @throws MpeError VALUE_INVALID with every problem of it */
function requestOf(body: FormBody): { readonly target: RotationTarget; readonly days: number } {
  const form = sentRequest(body);
  const words = form.ids.split(/[\s,;]+/).filter((id) => id !== '');
  const ids = words.map(guidOrNull).filter((id) => id !== null);
  const [days, perHour] = [Number(form.days), Number(form.perHour)];
  const problems = [
    ...idProblems(form, words, ids),
    ...(isWhole(days, 365) ? [] : ['days: a whole number from 1 to 365']),
    ...(isWhole(perHour, 10_000) ? [] : ['perHour: a whole number from 1 to 10000']),
    ...(body.ticked('sure') ? [] : ['tick that you mean to have these keys replaced']),
  ];
  const [first] = ids;
  if (problems.length > 0 || first === undefined)
    throw new MpeError('VALUE_INVALID', ['the form has problems:', ...problems].join('\n'));
  return { days, target: form.kind === 'volume' ? { volumeId: first } : { clientIds: ids, perHour } };
}

function idProblems(form: RequestForm, words: readonly string[], ids: readonly Guid[]): string[] {
  if (words.length === 0) return ['ids: name one at least'];
  if (ids.length < words.length)
    return [
      `ids: ${words.length === 1 ? 'it is' : `${words.length - ids.length} of them are`} no id, which has 32 hexadecimal digits`,
    ];
  if (words.length > IDS) return [`ids: there are ${words.length}; at most ${IDS} are taken here`];
  if (form.kind === 'volume' && words.length !== 1) return ['ids: name one volume'];
  return [];
}

const isWhole = (value: number, most: number): boolean =>
  Number.isInteger(value) && value >= 1 && value <= most;
