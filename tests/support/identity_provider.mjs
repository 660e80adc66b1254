// A provider of OpenID Connect for the tests: signs in everybody with any password.
//
// Arguments: its port, and where it tells of logouts. Prints its address once it answers. A login
// `name:group:group` gives the person these groups; a request of `/groups/name:group:group` tells the
// groups that a person has from now on.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [port, logout] = process.argv.slice(-2);
const told = new Map();
const server = createServer((request, response) => {
  if (!request.url.startsWith('/groups/')) return handle(request, response);
  const [name, ...groups] = request.url.slice('/groups/'.length).split(':');
  told.set(name, groups);
  response.end();
});
let handle;

server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'chatvault',
        client_secret: 'a secret of 32 characters at least',
        // The port of such an address may be any (RFC 8252).
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/auth/oidc/callback'],
        backchannel_logout_uri: logout,
        backchannel_logout_session_required: true,
      },
    ],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'groups'],
      email: ['email', 'email_verified'],
    },
    features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
    cookies: { keys: ['of a test'] },
    pkce: { required: () => true },
    // Its own refuses addresses of this machine.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    async findAccount(_, id) {
      const [name, ...groups] = id.split(':');
      return {
        accountId: id,
        claims: () => ({
          sub: id,
          name: `${name} Example`,
          preferred_username: name,
          email: `${name}@example.org`,
          email_verified: name !== 'unverified',
          groups: told.get(id) ?? groups,
        }),
      };
    },
  });
  handle = provider.callback();
  console.log(issuer);
});
