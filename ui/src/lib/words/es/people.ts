import { pluralOf } from '../translating';
import type { withPeople as English } from '../people';

const plural = pluralOf('es');

export const withPeople: typeof English = {
  section: 'Personas',
  text: 'Personas que tienen una cuenta aquí. La encuentran en «Compartido conmigo».',
  name: 'Nombre de usuario',
  role: 'Rol',
  roleOf: (name) => `Rol de ${name}`,
  roles: { viewer: 'Lector', commenter: 'Comentarista', editor: 'Editor' },
  may: {
    viewer: 'lee',
    commenter: 'lee y escribe notas junto a los mensajes',
    editor: 'lee, escribe notas, y escribe y edita mensajes',
  },
  lasts: 'El acceso dura',
  always: 'Hasta que lo retire',
  add: 'Compartir',
  list: 'Quién tiene acceso',
  none: 'Nadie más que tú.',
  you: 'Tú',
  owner: 'Propietario',
  gone: 'cuenta eliminada',
  until: (day) => `hasta el ${day}`,
  expired: (day) => `terminó el ${day}`,
  end: 'Retirar el acceso',
  endOf: (name) => `Retirar el acceso de ${name}`,
  added: (name) => `${name} ya tiene acceso.`,
  changed: (name) => `El rol de ${name} ha cambiado.`,
  ended: (name) => `${name} ya no tiene acceso.`,
  problems: {
    own: 'Eres tú: ya es tuya.',
    user_not_found: 'Aquí no hay nadie con ese nombre.',
    too_many_grants:
      'Ya está compartida con tantas personas como es posible. Retira antes el acceso de alguien.',
    too_many_requests: 'Demasiados intentos. Prueba de nuevo dentro de un minuto.',
  },
  bar: (count) => plural(count, 'Compartida con 1 persona', `Compartida con ${count} personas`),
  links: 'Enlaces',

  withMe: {
    title: 'Compartido conmigo',
    text: 'Conversaciones de otras personas a las que tienes acceso.',
    list: 'Conversaciones compartidas conmigo',
    empty: 'Nadie comparte ninguna conversación contigo.',
    conversation: 'Conversación',
    owner: 'De',
    role: 'Eres',
    since: 'Compartida',
    changed: 'Último cambio',
    nobody: 'cuenta eliminada',
  },

  guest: {
    of: (name) => `De ${name}.`,
    ofSomebody: 'De otra persona.',
    may: {
      viewer: 'Puedes leerla.',
      commenter: 'Puedes leerla y escribir notas.',
      editor: 'Puedes leerla, y escribir y editar mensajes y notas.',
    },
    asks: 'Aquí el asistente te responde a costa del propietario.',
    asksNot: 'Aquí el asistente no te responde: el propietario no lo ha permitido.',
    byGroup: 'La tienes por un grupo: sal del grupo en los ajustes.',
    leave: 'Salir',
    leaveTitle: '¿Salir de esta conversación?',
    leaveText: 'Pierdes el acceso. Lo que escribiste en ella se queda.',
    left: 'Ya no tienes acceso a ella.',
    ended:
      'Ya no tienes acceso a esta conversación. La ves como era; desaparecerá cuando dejes esta página.',
  },
  somebody: 'Otra persona',
  by: (name) => `de ${name}`,
};
