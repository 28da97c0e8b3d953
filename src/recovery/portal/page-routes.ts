import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Access, ServiceContext } from '../service/context.js';
import type { Caller, CallSource, EndUser } from '../services.js';
import type { Portal, Session } from '../sign-in/session.js';
import { FORM_TYPE, type FormBody } from './form-body.js';
import type { Frame } from './parts/shell.js';
import { frameFor, sendPageError } from './render.js';

/** What a page's handler is given. */
export interface PageRequest {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly session: Session;
  readonly caller: Caller;
  readonly frame: Frame;
}

/** Answers a page's request. */
export type PageHandler = (page: PageRequest) => Promise<FastifyReply>;

const SOURCES: Readonly<Record<Portal, CallSource>> = {
  helpdesk: 'Helpdesk',
  'self-service': 'Self-Service Portal',
};

/** Adds pages of one portal; each names its operation, which a hook has checked before it runs. */
export class PageRoutes {
  readonly #server: FastifyInstance;
  readonly #context: ServiceContext;
  readonly #portal: Portal;

  constructor(server: FastifyInstance, context: ServiceContext, portal: Portal) {
    this.#server = server;
    this.#context = context;
    this.#portal = portal;
  }

  /** A page that changes nothing. */
  get(path: string, access: Access, handler: PageHandler): void {
    this.#server.get(path, { config: this.#config(access) }, this.#answer(handler));
  }

  /** What a form is sent to. */
  post(path: string, access: Access, handler: PageHandler): void {
    const config = { ...this.#config(access), takes: [FORM_TYPE] };
    this.#server.post(path, { config }, this.#answer(handler));
  }

  #config(access: Access): { access: Access; source: CallSource; page: Portal } {
    return { access, source: SOURCES[this.#portal], page: this.#portal };
  }

  #answer(handler: PageHandler) {
    return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const session = this.#context.sessionOf(request);
      const frame = frameFor(this.#context.settings, this.#portal, session);
      // A token opens the API, no page.
      if (session === null) return sendPageError(reply, frame, { kind: 'session-ended' });
      return handler({ request, reply, session, caller: this.#context.callerOf(request), frame });
    };
  }
}

/** The user whom a form names; null where it names none. Half a name is one too: the service judges it. */
export function endUserOf(form: FormBody): EndUser | null {
  const domain = form.text('domain');
  const account = form.text('account');
  return domain === '' && account === '' ? null : { domain, account };
}
