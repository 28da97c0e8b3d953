/** The registered media type of protobuf, and the older name that OTLP made common. */
export const PROTOBUF = 'application/protobuf';
const ALIAS = 'application/x-protobuf';

/** One of the two names. */
export type ProtobufType = typeof PROTOBUF | typeof ALIAS;

/** For `Accept-Post`. */
export const ACCEPT_POST = `${PROTOBUF}, ${ALIAS}`;

/** The type without parameters, in lower case. */
function essence(header: string): string {
  return (header.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** The protobuf type that a Content-Type names; null for anything else. */
export function protobufType(contentType: string | undefined): ProtobufType | null {
  const type = essence(contentType ?? '');
  return type === PROTOBUF || type === ALIAS ? type : null;
}

/**
 * The protobuf type to answer in: the one of the request's body, else the first that `Accept` names,
 * else the registered one.
 */
export function answerType(headers: {
  readonly 'content-type'?: string | undefined;
  readonly accept?: string | undefined;
}): ProtobufType {
  const sent = protobufType(headers['content-type']);
  if (sent !== null) return sent;
  return acceptedProtobuf(headers.accept) ?? PROTOBUF;
}

/**
 * How problems are told: in protobuf to who speaks it (by `Accept`, else by the request's type), in
 * JSON to all others. An `Accept` that names JSON wins.
 */
export function problemForm(headers: {
  readonly 'content-type'?: string | undefined;
  readonly accept?: string | undefined;
}): ProtobufType | 'json' {
  const accepted = (headers.accept ?? '').split(',').map(essence);
  if (accepted.includes('application/problem+json') || accepted.includes('application/json')) return 'json';
  return acceptedProtobuf(headers.accept) ?? protobufType(headers['content-type']) ?? 'json';
}

function acceptedProtobuf(accept: string | undefined): ProtobufType | null {
  for (const part of (accept ?? '').split(',')) {
    const type = protobufType(part);
    if (type !== null) return type;
  }
  return null;
}
