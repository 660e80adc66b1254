import type { identity as English } from '../identity';

export const identity: typeof English = {
  signInWith: (name) => `Iniciar sesión con ${name}`,
  or: 'o',
  linkWith: (name) => `Vincular con ${name}`,
  linkText: (name) => `Así podrás iniciar sesión también con ${name}.`,
  linkedText: (name) => `Puedes iniciar sesión con ${name}.`,
  unlink: 'Desvincular',
  unlinked: 'Se ha desvinculado.',
  problems: {
    sign_in_expired: 'Ha tardado demasiado o empezó en otro navegador. Inicia sesión de nuevo.',
    sign_in_refused: 'No se ha iniciado tu sesión allí.',
    invalid_identity: 'La respuesta no demuestra quién eres. Inicia sesión de nuevo.',
    identity_provider_unavailable:
      'No se puede acceder al proveedor de identidad. Inténtalo de nuevo en un momento.',
    email_in_use:
      'Ya hay una cuenta con tu correo: inicia sesión en ella y vincúlala en sus ajustes.',
    identity_in_use: 'Esa identidad pertenece a otra cuenta.',
    already_linked: 'Tu cuenta ya está vinculada.',
    registration_closed: 'No tienes cuenta aquí; pídele una al operador.',
    invalid_credentials: 'Tu cuenta está cerrada.',
  },
  reset: {
    title: 'Establecer una contraseña nueva',
    text: 'Te ha dado este enlace la administración. Funciona una vez.',
    password: 'Contraseña nueva',
    set: 'Establecer la contraseña',
    done: 'Tu contraseña está establecida',
    doneText: 'Se han cerrado todas tus sesiones. Inicia sesión con la nueva.',
  },
  failed: 'No se ha podido iniciar sesión.',
};
