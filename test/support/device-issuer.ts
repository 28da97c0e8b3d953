import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type Configuration } from 'oidc-provider';
import type { TestCa } from './pki.js';

/** Scope and secret of the devices: any device of the tenant may ask for a token. */
const SECRET = 'device-secret-device-secret-device-secret';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * An OpenID provider of its own (oidc-provider over TLS) in the part of Entra ID: it gives devices
 * JWT access tokens by client credentials, with the claims `tid` and `deviceid`.
 */
export class DeviceIssuer {
  readonly tenantId: string;
  readonly audience = 'api://mpe-gateway';
  readonly #server: Server;
  readonly #devices: readonly string[];
  #handler: Handler = () => undefined;
  key: KeyObject;
  kid = '';
  /** Requests for the key set. */
  keyRequests = 0;
  /** Claims that replace those of the next tokens. */
  claims: Record<string, unknown> = {};
  down = false;

  private constructor(server: Server, tenantId: string, devices: readonly string[]) {
    this.#server = server;
    this.tenantId = tenantId;
    this.#devices = devices;
    this.key = newRsa();
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/jwks') === true) this.keyRequests += 1;
      if (this.down) response.destroy();
      else this.#handler(request, response);
    });
  }

  static async start(ca: TestCa, tenantId: string, devices: readonly string[]): Promise<DeviceIssuer> {
    const { pem, keyPem } = await ca.server();
    const server = createServer({ key: keyPem, cert: pem });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const issuer = new DeviceIssuer(server, tenantId, devices);
    issuer.rotate('key-1');
    return issuer;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get keysUrl(): string {
    return `${this.url}/jwks`;
  }

  /** From now on another key signs, and the old one is no longer published. */
  rotate(kid: string, key = newRsa()): void {
    this.key = key;
    this.kid = kid;
    const provider = new Provider(this.url, this.#configuration());
    const answer = provider.callback();
    this.#handler = (request, response) => void answer(request, response);
  }

  #configuration(): Configuration {
    return {
      jwks: {
        keys: [{ ...this.key.export({ format: 'jwk' }), kid: this.kid, use: 'sig', alg: 'RS256' }],
      },
      clients: this.#devices.map((id) => ({
        client_id: id,
        client_secret: SECRET,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_post',
      })),
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => this.audience,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: '',
            audience: this.audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 3600,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
      extraTokenClaims: (_context, token) => ({
        tid: this.tenantId,
        deviceid: token.clientId,
        ...this.claims,
      }),
    };
  }

  /** A token from the provider's token endpoint. */
  async token(deviceId: string, ca: string): Promise<string> {
    const { request } = await import('node:https');
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: deviceId,
      client_secret: SECRET,
      resource: this.audience,
    }).toString();
    const text = await new Promise<string>((resolve, reject) => {
      const sent = request(`${this.url}/token`, {
        method: 'POST',
        ca,
        agent: false,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': Buffer.byteLength(body),
        },
      });
      sent.on('error', reject);
      sent.on('response', (response) => {
        let read = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (read += part));
        response.on('end', () => resolve(read));
      });
      sent.end(body);
    });
    const { access_token: token } = JSON.parse(text) as { access_token?: string };
    if (token === undefined) throw new Error(`no token: ${text}`);
    return token;
  }

  /** A token that the issuer's key signs, with whatever header and claims a test wants. */
  forge(
    deviceId: string,
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key: KeyObject = this.key,
  ): string {
    const now = Math.floor(Date.now() / 1000);
    const head = { alg: 'RS256', typ: 'JWT', kid: this.kid, ...header };
    const body = {
      iss: this.url,
      aud: this.audience,
      tid: this.tenantId,
      deviceid: deviceId,
      iat: now,
      nbf: now,
      exp: now + 3600,
      ...claims,
    };
    const input = [head, body]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** An RSA key of 2048 bits. */
export function newRsa(bits = 2048): KeyObject {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}
