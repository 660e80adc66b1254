import { api, ok } from '#lib/api/client';

/** Return the id and the name of whoever has this username or id; undefined where nobody has. */
export async function findUser(
  text: string,
): Promise<{ id: string; username: string } | undefined> {
  if (/^[0-9a-f]{24}$/i.test(text)) {
    return await ok(api.GET('/admin/users/{user_id}', { params: { path: { user_id: text } } }));
  }
  const query = { name: text, limit: 10 };
  const found = await ok(api.GET('/admin/users', { params: { query: query as never } }));
  return found.find((each) => each.username.toLowerCase() === text.toLowerCase());
}
