/** All decoders of the wire contract in one place. */
export { decodeEnvelope } from './envelope.js';
export { decodeClientMessage } from './decode-client-message.js';
export { decodeMessageReply } from './message-reply.js';
export { decodeReplyStatement } from './reply-statement.js';
export {
  decodeRegistrationReply,
  decodeRegistrationRequest,
  decodeRegistrationStatement,
} from './registration.js';
export {
  decodeNonceReply,
  decodeTokenReply,
  decodeTokenRequest,
  decodeTokenStatement,
} from './site-token.js';
export { decodeProblem } from './problem.js';
