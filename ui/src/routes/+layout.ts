import { language } from '#lib/words/language.svelte';
import type { LayoutLoad } from './$types';

export const ssr = false;
export const prerender = false;

// What these show is among the first words of a language.
const FIRST = new Set(['/(app)', '/(app)/c/[id]', '/login', '/register', '/reset/[token]']);

/** Wait for the words, so that nothing is shown in another language first. */
export const load: LayoutLoad = ({ route }) => language.ready(FIRST.has(route.id ?? ''));
