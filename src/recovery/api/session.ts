import { z } from 'zod';
import { ROLES } from '../roles.js';
import type { ApiRoute } from './route.js';
import { time } from './schemas.js';

/** A call as the document names it; who answers it is told elsewhere. */
export type DocumentedCall = Omit<ApiRoute, 'run' | 'path'> & {
  /** The whole address. */
  readonly url: string;
};

const session = z.object({
  person: z.object({
    name: z.string(),
    roles: z.array(z.enum(ROLES)),
    signIn: z.enum(['oidc', 'local', 'break-glass']),
  }),
  portal: z.enum(['helpdesk', 'self-service']),
  csrf: z.string().describe('Goes back as `x-csrf-token`'),
  signedInAtMs: time,
  secondsLeft: z.int().min(0).describe('Until it ends where nothing more is asked'),
  noticeAccepted: z.boolean(),
  warnSeconds: z.int().min(0),
});

/** Signing in and out for programs without an access token: answered by sign-in/routes.ts. */
export const SESSION_CALLS: readonly DocumentedCall[] = [
  {
    ...{ method: 'POST', url: '/sign-in/local', id: 'signIn', tag: 'session', access: 'public' },
    summary: 'Sign in by a local account',
    description: 'Begins a session: its cookie comes with the answer.',
    ...{ params: null, query: null, answer: session },
    body: z.object({
      name: z.string().min(1).max(512),
      password: z.string().max(1024),
      portal: z.enum(['helpdesk', 'self-service']).default('helpdesk'),
    }),
  },
  {
    ...{ method: 'GET', url: '/api/v1/session', id: 'showSession', tag: 'session', access: 'signed-in' },
    summary: 'Who is signed in, and for how long',
    description: 'Of a session alone: an access token has none.',
    ...{ params: null, query: null, body: null, answer: session },
  },
  {
    ...{ method: 'POST', url: '/api/v1/sign-out', id: 'signOut', tag: 'session', access: 'signed-in' },
    summary: 'Sign out',
    description: 'Ends the session; `location` is where a browser would go then.',
    ...{ params: null, query: null, body: null, answer: z.object({ location: z.string() }) },
  },
];
