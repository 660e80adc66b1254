import type { keys as English } from '../keys';
import { pluralOf } from '../translating';

const plural = pluralOf('es');

export const keys: typeof English = {
  text: 'Con una clave, un programa actúa por ti hasta donde llegan los permisos de la clave. Envíala como Authorization: Bearer.',
  make: 'Nueva clave',
  name: 'Nombre',
  nameHint: 'Para qué es, por ejemplo el nombre del programa.',
  scopes: 'Puede',
  scopeNames: {
    'conversations:read': ['Leer', 'Conversaciones, mensajes, archivos y ajustes.'],
    'conversations:write': ['Escribir', 'Crearlos, cambiarlos y eliminarlos; incluye leer.'],
    'agents:run': [
      'Consultar asistentes',
      'Respuestas de modelos, a tu cargo; asistentes y herramientas.',
    ],
    export: ['Exportar', 'Conversaciones y todo sobre ti.'],
    'audit:read': ['Leer el registro de auditoría', 'Tu parte, o todo si tu rol lo permite.'],
    admin: ['Administrar', 'Cuentas y consumo.'],
  },
  lifetime: 'Válida durante',
  days: (count) => (count === 365 ? '1 año' : plural(count, '1 día', `${count} días`)),
  create: 'Crear la clave',
  made: (name) => `La clave «${name}»`,
  once: 'Cópiala ahora: se muestra solo esta vez y no se guarda en ningún sitio.',
  copy: 'Copiar la clave',
  kept: 'Ya la he copiado',
  list: 'Claves',
  none: 'Todavía no hay ninguna clave.',
  never: 'Sin usar todavía',
  used: (when) => `Usada ${when}`,
  until: (day) => `hasta el ${day}`,
  expired: 'Caducada',
  revoke: 'Revocar',
  revokeTitle: (name) => `¿Revocar «${name}»?`,
  revokeText:
    'Los programas que la usan se rechazan al momento y en todas partes. No se puede deshacer.',
  revoked: 'La clave se ha revocado.',
  revokeAll: 'Revocar todas las claves',
  revokeAllTitle: '¿Revocar todas las claves?',
};
