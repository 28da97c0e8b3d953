import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type Configuration } from 'oidc-provider';
import { newRsa } from './device-issuer.js';
import type { TestCa } from './pki.js';

export const CLIENT_ID = 'mpe-portal';
export const CLIENT_SECRET = 'portal-secret-portal-secret-portal-secret';
export const AUDIENCE = 'api://mpe-recovery';
const API_SECRET = 'api-secret-api-secret-api-secret-api-secret';

/** Somebody whom the provider knows. */
export interface Known {
  readonly name: string;
  readonly groups: readonly string[];
}

/**
 * An OpenID provider of its own (oidc-provider over TLS) that signs people in without asking: whoever
 * `signsIn` names. It gives API clients access tokens as well.
 */
export class PeopleIssuer {
  readonly #server: Server;
  #provider: Provider | null = null;
  signsIn: Known = { name: 'CORP\\anna', groups: [] };
  down = false;
  /** Claims that replace those of the next access tokens. */
  tokenClaims: Record<string, unknown> = {};

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(ca: TestCa): Promise<PeopleIssuer> {
    const { pem, keyPem } = await ca.server();
    const server = createServer({ key: keyPem, cert: pem });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new PeopleIssuer(server);
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Once the portal's origin is known. */
  serve(portal: string): void {
    this.#provider = new Provider(this.url, this.#configuration(portal));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.down || this.#provider === null) {
      response.destroy();
      return;
    }
    if (request.url?.startsWith('/interaction/') === true) {
      await this.#provider.interactionFinished(request, response, {
        login: { accountId: JSON.stringify(this.signsIn) },
      });
      return;
    }
    await this.#provider.callback()(request, response);
  }

  #configuration(portal: string): Configuration {
    const jwk = { ...newRsa().export({ format: 'jwk' }), kid: 'key-1', use: 'sig', alg: 'RS256' };
    return {
      jwks: { keys: [jwk] },
      cookies: { keys: ['cookie-key'] },
      clients: [
        {
          client_id: CLIENT_ID,
          client_secret: CLIENT_SECRET,
          redirect_uris: [`${portal}/sign-in/callback`],
          post_logout_redirect_uris: [`${portal}/sign-in`],
          response_types: ['code'],
          grant_types: ['authorization_code'],
          token_endpoint_auth_method: 'client_secret_post',
        },
        {
          client_id: 'script',
          client_secret: API_SECRET,
          redirect_uris: [],
          response_types: [],
          grant_types: ['client_credentials'],
          token_endpoint_auth_method: 'client_secret_post',
        },
      ],
      claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
      conformIdTokenClaims: false,
      pkce: { required: () => true },
      interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
      findAccount: (_context, id) => {
        const known = JSON.parse(id) as Known;
        // Groups as they are now, not as they were when somebody came to the provider.
        const { name, groups } = this.signsIn.name === known.name ? this.signsIn : known;
        return { accountId: id, claims: () => ({ sub: name, preferred_username: name, groups }) };
      },
      loadExistingGrant: async (context) => {
        const { client, session, provider } = context.oidc;
        const grant = new provider.Grant({ clientId: client?.clientId, accountId: session?.accountId });
        grant.addOIDCScope('openid profile email');
        await grant.save();
        return grant;
      },
      extraTokenClaims: () => this.tokenClaims,
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => AUDIENCE,
          useGrantedResource: () => true,
          getResourceServerInfo: (_context, resource) => ({
            scope: '',
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 3600,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    };
  }

  /** The form that asks for an access token of an API client. */
  tokenForm(resource = AUDIENCE): Record<string, string> {
    return { grant_type: 'client_credentials', client_id: 'script', client_secret: API_SECRET, resource };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
