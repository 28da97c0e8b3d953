import type { FastifyInstance } from 'fastify';

/**
 * What every answer carries: nothing is cached, framed, guessed or told to others; a page runs its own
 * script and style alone.
 *
 * @param formTargets - origins that a form may lead to beside this one: the sign-in provider
 */
export function securityHeaders(formTargets: readonly string[]): Readonly<Record<string, string>> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    `form-action ${["'self'", ...formTargets].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
  ];
  return {
    'content-security-policy': policy.join('; '),
    'cache-control': 'no-store',
    // Nothing to others. Without any a form would say that it comes from nowhere, and be refused.
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'strict-transport-security': 'max-age=31536000',
  };
}

/** Puts them on every answer, errors and unknown addresses included; no route can take one away. */
export function addSecurityHeaders(server: FastifyInstance, formTargets: readonly string[]): void {
  const headers = securityHeaders(formTargets);
  server.addHook('onSend', async (_request, reply) => {
    reply.headers(headers);
    return Promise.resolve();
  });
}
