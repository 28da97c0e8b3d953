/** All encoders of the wire contract in one place. */
export { encodeEnvelope } from './envelope.js';
export { encodeClientMessage } from './encode-client-message.js';
export { encodeMessageReply } from './message-reply.js';
export { encodeReplyStatement } from './reply-statement.js';
export {
  encodeRegistrationReply,
  encodeRegistrationRequest,
  encodeRegistrationStatement,
} from './registration.js';
export {
  encodeNonceReply,
  encodeTokenReply,
  encodeTokenRequest,
  encodeTokenStatement,
} from './site-token.js';
export { encodeProblem } from './problem.js';
