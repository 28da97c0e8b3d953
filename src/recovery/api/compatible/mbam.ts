import type { FastifyInstance, FastifyReply } from 'fastify';
import { mustNameUser } from '../../roles.js';
import { auditSearch, searchKeys } from '../../search/search-keys.js';
import { SOAP_TYPE } from '../../service/bodies.js';
import type { ServiceContext } from '../../service/context.js';
import { RecoveryProblem } from '../../service/problems.js';
import type { Caller } from '../../services.js';
import { shownOf } from '../keys.js';
import type { CompatibleParts } from './parts.js';
import { readSoap, soapEnvelope, soapFault, xmlText, type SoapRequest } from './soap.js';

const NAMESPACE = 'http://tempuri.org/';
const CONTRACT = `${NAMESPACE}IAdministrationService`;
const INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance';
const ARRAYS = 'http://schemas.microsoft.com/2003/10/Serialization/Arrays';
const RESULT = 'http://schemas.datacontract.org/2004/07/Microsoft.Mbam.Server.ServiceCommon';

/** The two calls of MBAM's administration service that recovery scripts make. */
export function mbamRoutes(server: FastifyInstance, context: ServiceContext, parts: CompatibleParts): void {
  const config = { source: 'MBAM', access: 'key.disclose', takes: [SOAP_TYPE] } as const;
  server.post('/mbamadministrationservice/administrationservice.svc', { config }, async (request, reply) => {
    const soap = readSoap(typeof request.body === 'string' ? request.body : '');
    const caller = context.callerOf(request);
    if (soap.namespace !== NAMESPACE || !isAction(soap)) throw unknown();
    switch (soap.operation) {
      case 'GetRecoveryKeyIds':
        return send(reply, 200, await keyIds(parts, caller, soap));
      case 'GetRecoveryKey':
        return send(reply, 200, await key(context, caller, soap));
      default:
        throw unknown();
    }
  });
}

async function keyIds(parts: CompatibleParts, caller: Caller, soap: SoapRequest): Promise<string> {
  const digits = field(soap, 'partialRecoveryKeyId');
  const reason = field(soap, 'reasonCode').slice(0, 256);
  const search = { search: parts.store.search, audit: parts.audit };
  const query = { by: 'key-id', digits } as const;
  if (mustNameUser(caller.person, 'key.search')) {
    await auditSearch(search, caller, query, undefined, 'USER_REQUIRED: this interface names no user', {
      reason,
    });
    throw new RecoveryProblem(
      'NOT_ALLOWED',
      'You must name the user of a machine, which this interface cannot.',
    );
  }
  const answer = await searchKeys(search, caller, query, undefined, reason);
  if (answer.found === 'refused') throw new RecoveryProblem('VALUE_INVALID', answer.detail);
  const ids = [...new Set(answer.keys.map(({ keyId }) => keyId))];
  return envelope(
    'GetRecoveryKeyIds',
    `xmlns:b="${ARRAYS}" xmlns:i="${INSTANCE}"`,
    ids.map((id) => `<b:string>${id}</b:string>`).join(''),
  );
}

async function key(context: ServiceContext, caller: Caller, soap: SoapRequest): Promise<string> {
  const answer = shownOf(
    await context.services.keys.disclose(caller, {
      kind: 'recovery-password',
      keyId: field(soap, 'recoveryKeyId'),
      reason: field(soap, 'reasonCode'),
      // This interface answers one value.
      oneValue: true,
    }),
  );
  const value = String(answer.keys[0]?.value ?? '');
  return envelope(
    'GetRecoveryKey',
    `xmlns:b="${RESULT}" xmlns:i="${INSTANCE}"`,
    `<b:RecoveryKey>${xmlText(value)}</b:RecoveryKey>`,
  );
}

/** The header may leave the action out; one that names another call is no request of ours. */
function isAction({ action, operation }: SoapRequest): boolean {
  return action === '' || action === `${CONTRACT}/${operation}`;
}

function field(soap: SoapRequest, name: string): string {
  const value = soap.fields[name]?.trim() ?? '';
  if (value === '') throw new RecoveryProblem('VALUE_INVALID', `The field ${name} is missing.`);
  return value;
}

function envelope(operation: string, attributes: string, inside: string): string {
  return soapEnvelope(
    `${CONTRACT}/${operation}Response`,
    `<${operation}Response xmlns="${NAMESPACE}"><${operation}Result ${attributes}>${inside}</${operation}Result></${operation}Response>`,
  );
}

function unknown(): RecoveryProblem {
  return new RecoveryProblem(
    'REQUEST_MALFORMED',
    'Of this service GetRecoveryKeyIds and GetRecoveryKey are answered.',
  );
}

function send(reply: FastifyReply, status: number, xml: string): FastifyReply {
  return reply.code(status).header('content-type', `${SOAP_TYPE}; charset=utf-8`).send(xml);
}

/** A problem as SOAP tells faults; an authentication that is missing keeps its status. */
export function sendFault(reply: FastifyReply, problem: RecoveryProblem): FastifyReply {
  reply.headers(problem.headers);
  const isSender = problem.status < 500;
  const status = [401, 403, 405, 413, 415, 429].includes(problem.status)
    ? problem.status
    : isSender
      ? 400
      : 500;
  return send(reply, status, soapFault(isSender, problem.message));
}
