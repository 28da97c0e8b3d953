import { SaxesParser } from 'saxes';
import { RecoveryProblem } from '../../service/problems.js';

const SOAP = 'http://www.w3.org/2003/05/soap-envelope';
const ADDRESSING = 'http://www.w3.org/2005/08/addressing';
const MOST_DEPTH = 8;
const MOST_ELEMENTS = 64;
const MOST_TEXT = 2048;

/** A request in a SOAP 1.2 envelope. */
export interface SoapRequest {
  /** Of WS-Addressing; '' where the header has none. */
  readonly action: string;
  /** Namespace and name of the one element of the body. */
  readonly namespace: string;
  readonly operation: string;
  /** Texts of its children, each once. */
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * Reads a SOAP 1.2 request strictly: well-formed XML 1.0 with namespaces, no document type (so no
 * entities but the five of XML), no processing instructions, a known shape, bounded.
 *
 * @throws RecoveryProblem REQUEST_MALFORMED
 */
export function readSoap(text: string): SoapRequest {
  const parser = new SaxesParser({ xmlns: true, position: false, fragment: false });
  const open: { readonly uri: string; readonly local: string }[] = [];
  const fields = new Map<string, string>();
  let action = '';
  let operation: { readonly uri: string; readonly local: string } | null = null;
  let elements = 0;
  let content = '';
  const refuse = (why: string): never => {
    throw new RecoveryProblem(
      'REQUEST_MALFORMED',
      `The body is no SOAP 1.2 request of this service: ${why}.`,
    );
  };
  const isAt = (n: number, uri: string, local: string): boolean =>
    open[n]?.uri === uri && open[n].local === local;
  parser.on('error', () => refuse('it is not well-formed'));
  parser.on('doctype', () => refuse('a document type is not taken'));
  parser.on('processinginstruction', () => refuse('a processing instruction is not taken'));
  parser.on('opentag', ({ uri, local }) => {
    elements += 1;
    if (elements > MOST_ELEMENTS || open.length >= MOST_DEPTH) refuse('it has too many elements');
    open.push({ uri, local });
    content = '';
    const depth = open.length;
    if (depth === 1 && !isAt(0, SOAP, 'Envelope')) refuse('it begins with another element than Envelope');
    if (depth === 2 && uri !== SOAP) refuse('the envelope holds another element');
    if (depth === 3 && isAt(1, SOAP, 'Body')) {
      if (operation !== null) refuse('the body holds more than one element');
      operation = { uri, local };
    }
    if (depth > 4 && isAt(1, SOAP, 'Body')) refuse('a field holds elements');
  });
  const add = (more: string): void => {
    content += more;
    if (content.length > MOST_TEXT) refuse('a field is too long');
  };
  parser.on('text', add);
  parser.on('cdata', add);
  parser.on('closetag', () => {
    const [depth, last] = [open.length, open.at(-1)];
    if (depth === 3 && isAt(1, SOAP, 'Header') && isAt(2, ADDRESSING, 'Action')) action = content.trim();
    if (depth === 4 && isAt(1, SOAP, 'Body') && last !== undefined) {
      if (last.uri !== operation?.uri) refuse('a field is of another namespace');
      if (fields.has(last.local)) refuse('a field stands twice');
      fields.set(last.local, content);
    }
    open.pop();
    content = '';
  });
  parser.write(text).close();
  const read = operation as { readonly uri: string; readonly local: string } | null;
  if (read === null) return refuse('the body is empty');
  return { action, namespace: read.uri, operation: read.local, fields: Object.fromEntries(fields) };
}

/** An envelope around the inside of a body, which is XML already. */
export function soapEnvelope(action: string, body: string): string {
  return (
    `<s:Envelope xmlns:s="${SOAP}" xmlns:a="${ADDRESSING}"><s:Header>` +
    `<a:Action s:mustUnderstand="1">${xmlText(action)}</a:Action></s:Header><s:Body>${body}</s:Body></s:Envelope>`
  );
}

/** A fault: `Sender` where the request is wrong, else `Receiver`. */
export function soapFault(isSender: boolean, reason: string): string {
  return soapEnvelope(
    `${ADDRESSING}/soap/fault`,
    `<s:Fault><s:Code><s:Value>s:${isSender ? 'Sender' : 'Receiver'}</s:Value></s:Code>` +
      `<s:Reason><s:Text xml:lang="en-US">${xmlText(reason)}</s:Text></s:Reason></s:Fault>`,
  );
}

/** Text as XML holds it. */
export function xmlText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
