/** All that the rest of mpe may use of JOSE. node-jose stays behind these functions. */
export {
  issueAccessToken,
  MAX_TOKEN_LIFETIME_SECONDS,
  verifyAccessToken,
  type AccessTokenFacts,
  type AccessTokenRequest,
} from './access-token.js';
export {
  certificateKeyOf,
  certificateSubject,
  signCertificateProof,
  verifyCertificateProof,
  type CertificateProof,
} from './certificate-proof.js';
export { checkKey } from './check-key.js';
export { readDeviceKeys, type DeviceKey } from './device-keys.js';
export { generatePrivateKey, publicPart } from './generate-key.js';
export { guard, type GuardedHeader } from './guard.js';
export { isOnP256 } from './p256.js';
export { open, OpeningKeys } from './open.js';
export { openReply, sealReply } from './reply.js';
export { seal, type SealedType } from './seal.js';
export { signRootChange } from './root-change.js';
export { sign } from './sign.js';
export { signSiteDocument, verifySiteDocument } from './site-document.js';
export { thumbprint } from './thumbprint.js';
export { TOKEN_RULES, type JweType, type JwsType, type TokenType } from './token-rules.js';
export { unwrapSecret, wrapSecret, type WrappingSecret } from './wrap-secret.js';
export {
  peekDeviceKid,
  verifyDeviceToken,
  type DeviceTokenFacts,
  type DeviceTokenRules,
} from './verify-device-token.js';
export { verifyApiToken, type ApiTokenClaims } from './verify-api-token.js';
export { peekKid, verify } from './verify.js';
