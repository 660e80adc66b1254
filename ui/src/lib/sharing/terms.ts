import type { Grant, GrantRole, GroupGrant } from '#lib/api/client';

export const ROLES: GrantRole[] = ['viewer', 'commenter', 'editor'];
export const LIFETIMES = [1, 7, 30, 90, 365];
const DAY = 86_400_000;

/** What a grant allows, and until when. */
export type Terms = Pick<Grant, 'role' | 'expires_at' | 'agents'>;

/** A grant to a user or to a group. */
export type Given = Grant | GroupGrant;

/** Return the end of what lasts some days; null for 0, which is no end. */
export function untilIn(days: number): string | null {
  return days ? new Date(Date.now() + days * DAY).toISOString() : null;
}

export function hasEnded(grant: Given): boolean {
  return grant.expires_at !== null && new Date(grant.expires_at).getTime() <= Date.now();
}

/** Return a grant's terms with a change; one that has ended is given again, without an end. */
export function changed(grant: Given, change: Partial<Terms>): Terms {
  const { role, agents } = { ...grant, ...change };
  const expires_at = hasEnded(grant) ? null : grant.expires_at;
  return { role, expires_at, agents: agents && role === 'editor' };
}
