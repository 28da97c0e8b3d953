import type { CookieSerializeOptions } from '@fastify/cookie';

/**
 * The prefix binds a cookie to this host over TLS with the path `/`: no other host of the domain can
 * set or replace it.
 */
export const SESSION_COOKIE = '__Host-mpe-session';
/** State of a sign-in that is at the provider. */
export const SIGN_IN_COOKIE = '__Host-mpe-sign-in';

/** Never sent with a request that another site began. */
export const SESSION_FLAGS: CookieSerializeOptions = {
  path: '/',
  secure: true,
  httpOnly: true,
  sameSite: 'strict',
};

/** The provider sends people back from its own site, so this one is Lax; it lives ten minutes. */
export const SIGN_IN_FLAGS: CookieSerializeOptions = { ...SESSION_FLAGS, sameSite: 'lax', maxAge: 600 };
