import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseGuid } from '../../../protocol/guid.js';
import { VOLUME_TYPES } from '../../../protocol/vocabulary.js';
import type { SearchedMachine } from '../../../store/search-store.js';
import { mustNameUser } from '../../roles.js';
import { auditSearch, listedText } from '../../search/search-keys.js';
import type { ServiceContext } from '../../service/context.js';
import { RecoveryProblem } from '../../service/problems.js';
import { shownOf } from '../keys.js';
import type { CompatibleParts } from './parts.js';

const BASE = '/adminservice';
const TYPE = 'application/json; odata.metadata=minimal';
const DEVICE = /^v1\.0\/device\((\d{1,10})\)$/i;
const DEVICE_KEYS = /^v1\.0\/device\((\d{1,10})\)\/recoverykeys$/i;
const DEVICE_VALUE = /^v1\.0\/device\((\d{1,10})\)\/adminservice\.getrecoverykeyvalue$/i;
/** Both answer devices by name, each with the name that it gives their number. */
const NUMBERS = [
  { path: /^wmi\/sms_r_system$/i, number: 'ResourceId' },
  { path: /^v1\.0\/device$/i, number: 'MachineId' },
] as const;
/** The one filter that is understood. */
const NAME_FILTER = /^\s*(?:netbios)?name\s+eq\s+'((?:[^']|''){1,128})'\s*$/i;
const MOST = 500;

const valueBody = z.looseObject({ RecoveryKeyId: z.string().max(64) });

/**
 * The part of Configuration Manager's AdminService that recovery scripts call. Machines are named by
 * numbers of our own, which `SMS_R_System?$filter=Name eq '…'` tells.
 */
export function adminServiceRoutes(
  server: FastifyInstance,
  context: ServiceContext,
  parts: CompatibleParts,
  origin: () => string,
): void {
  const config = { source: 'AdminService' } as const;
  const contextOf = (rest: string): string => `${origin()}/AdminService/v1.0/$metadata#${rest}`;
  const { search } = parts.store;

  server.get(`${BASE}/*`, { config: { ...config, access: 'key.search' } }, async (request, reply) => {
    const path = pathOf(request);
    await refuseUnnamed(context, parts, request, path);
    const list = NUMBERS.find((one) => one.path.test(path));
    if (list !== undefined) {
      const name = nameOf(request);
      const machines = await search.machinesNamed(name, MOST);
      const numbers = await search.numberMachines(machines.map(({ clientId }) => clientId));
      return send(reply, {
        value: machines.map((machine, n) => ({ [list.number]: numbers[n], Name: machine.machineName })),
      });
    }
    const device = DEVICE.exec(path);
    if (device !== null) {
      const [number, machine] = await deviceOf(parts, device[1]);
      return send(reply, {
        '@odata.context': contextOf('Device/$entity'),
        MachineId: number,
        Name: machine.machineName,
      });
    }
    const keys = DEVICE_KEYS.exec(path);
    if (keys !== null) {
      const [number, { clientId, machineName }] = await deviceOf(parts, keys[1]);
      const found = await search.keys({ by: 'client', clientId }, { limit: MOST });
      const ids = new Set(found.map(({ keyId }) => keyId)).size;
      await auditSearch(
        { search, audit: parts.audit },
        context.callerOf(request),
        { by: 'machine', machine: machineName },
        undefined,
        ids === 0 ? 'NOT_FOUND: this machine sent no key' : listedText(ids, found.length === MOST),
        { result: ids === 0 ? 'Failed' : 'Successful' },
      );
      return send(reply, {
        '@odata.context': contextOf(`Device(${number})/RecoveryKeys`),
        value: found.map(({ keyId, volumeType }) => ({
          ItemKey: number,
          RecoveryKeyId: keyId,
          VolumeTypeId: VOLUME_TYPES.indexOf(volumeType),
        })),
      });
    }
    throw unknown();
  });

  server.post(`${BASE}/*`, { config: { ...config, access: 'key.disclose' } }, async (request, reply) => {
    const value = DEVICE_VALUE.exec(pathOf(request));
    if (value === null) throw unknown();
    const [, { clientId, machineName }] = await deviceOf(parts, value[1]);
    const body = valueBody.safeParse(request.body);
    if (!body.success) throw new RecoveryProblem('VALUE_INVALID', 'The body is {"RecoveryKeyId": "<GUID>"}.');
    const keyId = parseGuid(body.data.RecoveryKeyId);
    const held = await search.keys({ by: 'client', clientId }, { limit: MOST });
    const caller = context.callerOf(request);
    if (!held.some((key) => key.keyId === keyId)) {
      const query = { by: 'key-id', digits: keyId } as const;
      await auditSearch(
        { search, audit: parts.audit },
        caller,
        query,
        undefined,
        `NOT_FOUND: ${machineName} sent no such key`,
      );
      throw new RecoveryProblem('NOT_FOUND', 'This device sent no key with this ID.');
    }
    // Of this device's volume alone: what others have under this key ID is not answered, so not exposed.
    const [volumeId, ...more] = new Set(held.filter((key) => key.keyId === keyId).map((key) => key.volumeId));
    const answer = shownOf(
      await context.services.keys.disclose(caller, {
        ...{ kind: 'recovery-password', keyId, reason: 'Other: AdminService' },
        ...(volumeId === undefined || more.length > 0 ? {} : { volumeId }),
      }),
    );
    const shown = answer.keys.find((key) => key.machines.some((machine) => machine.clientId === clientId));
    // Several machines sent passwords under this key ID, and that of this one does not open.
    if (shown === undefined)
      throw new RecoveryProblem('DISCLOSURE_REFUSED', 'What this device sent cannot be read: use the API.');
    return send(reply, { '@odata.context': contextOf('Edm.String'), value: String(shown.value) });
  });
}

/** These calls name no user, so who must name one cannot use them. */
async function refuseUnnamed(
  context: ServiceContext,
  parts: CompatibleParts,
  request: FastifyRequest,
  path: string,
): Promise<void> {
  const caller = context.callerOf(request);
  if (!mustNameUser(caller.person, 'key.search')) return;
  const machine = path.slice(0, 128);
  const detail = 'USER_REQUIRED: this interface names no user';
  await auditSearch(
    { search: parts.store.search, audit: parts.audit },
    caller,
    { by: 'machine', machine },
    undefined,
    detail,
  );
  throw new RecoveryProblem(
    'NOT_ALLOWED',
    'You must name the user of a machine, which this interface cannot: use the API.',
  );
}

async function deviceOf(
  { store }: CompatibleParts,
  text: string | undefined,
): Promise<readonly [number, SearchedMachine]> {
  const number = Number(text);
  const machine = number <= 0x7fff_ffff ? await store.search.machineByNumber(number) : null;
  if (machine === null) throw new RecoveryProblem('NOT_FOUND', 'There is no device with this number.');
  return [number, machine];
}

const pathOf = (request: FastifyRequest): string => (request.params as { readonly '*': string })['*'];

function nameOf(request: FastifyRequest): string {
  const filter = (request.query as Readonly<Record<string, unknown>>)['$filter'];
  const name = typeof filter === 'string' ? NAME_FILTER.exec(filter)?.[1] : undefined;
  if (name === undefined)
    throw new RecoveryProblem('VALUE_INVALID', "Devices are found by $filter=Name eq '<name>' alone.");
  return name.replaceAll("''", "'");
}

function unknown(): RecoveryProblem {
  return new RecoveryProblem(
    'NOT_FOUND',
    'Of this interface Device, RecoveryKeys and GetRecoveryKeyValue are answered.',
  );
}

function send(reply: FastifyReply, body: Readonly<Record<string, unknown>>): FastifyReply {
  return reply.header('content-type', TYPE).send(Buffer.from(JSON.stringify(body)));
}

/** A problem as OData tells errors. */
export function sendODataError(reply: FastifyReply, problem: RecoveryProblem): FastifyReply {
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .header('content-type', TYPE)
    .send(Buffer.from(JSON.stringify({ error: { code: problem.code, message: problem.message } })));
}
