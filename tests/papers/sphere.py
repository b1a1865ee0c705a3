"""Real orthonormal spherical harmonics, quadrature and rotations for papers 14 and 15; index a = l*l + l + m."""

import numpy as np
from scipy.special import sph_harm_y


def harmonics(L, theta, phi):
    """Values at angles, the index last; sines for m < 0, cosines for m > 0."""
    columns = []
    for l in range(L + 1):
        for m in range(-l, l + 1):
            value = sph_harm_y(l, abs(m), theta, phi)
            sign = np.sqrt(2) * (-1) ** m
            columns.append(value.real if m == 0 else sign * (value.real if m > 0 else value.imag))
    return np.stack(columns, axis=-1)


def grid(degree):
    """Angles and weights that integrate functions of the degree: (theta[t], phi[f], wq[t,f])."""
    nodes, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    phi = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    wq = np.repeat(weights[:, None], degree + 1, axis=1) * 2 * np.pi / (degree + 1)
    return np.arccos(nodes), phi, wq


def table(L, theta, phi):
    """Y[t,f,a] on a grid."""
    return harmonics(L, theta[:, None], phi[None, :])


def gaunt(L1, L2, L3):
    """Integrals of three harmonics."""
    theta, phi, wq = grid(L1 + L2 + L3)
    return np.einsum("tf,tfa,tfb,tfc->abc", wq, table(L1, theta, phi), table(L2, theta, phi), table(L3, theta, phi), optimize=True)


def angles(points):
    return np.arccos(np.clip(points[:, 2], -1, 1)), np.arctan2(points[:, 1], points[:, 0])


def wigner(L, rotation):
    """D with Y(R p) = D Y(p)."""
    points = np.random.default_rng(0).standard_normal((6 * (L + 1) ** 2, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    before, after = harmonics(L, *angles(points)), harmonics(L, *angles(points @ rotation.T))
    return np.linalg.lstsq(before, after, rcond=None)[0].T


def proper(rotation):
    """The rotation with determinant one."""
    return rotation * np.sign(np.linalg.det(rotation))


def torus(L):
    """S[a,u,v]: Fourier coefficients of the harmonics, continued to theta in 0..2 pi as polynomials of the direction."""
    size = 2 * L + 1
    angle = 2 * np.pi * np.arange(size) / size
    theta, phi = np.meshgrid(angle, angle, indexing="ij")
    # beyond pi, the direction of (theta, phi) is that of (2 pi - theta, phi + pi)
    far = theta > np.pi
    values = harmonics(L, np.where(far, 2 * np.pi - theta, theta), np.where(far, phi + np.pi, phi))
    return np.fft.fftshift(np.fft.fft2(values, axes=(0, 1)), axes=(0, 1)).transpose(2, 0, 1) / size**2


def projection(L, frequencies):
    """Z[c,U,V]: integrals of exp(i (U theta + V phi)) times harmonics over the sphere, frequencies -K..K."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    theta, weights = np.pi * (nodes + 1) / 2, weights * np.pi / 2
    count = 2 * (frequencies + L) + 1
    phi = 2 * np.pi * np.arange(count) / count
    k = np.arange(-frequencies, frequencies + 1)
    waves_theta = np.exp(1j * np.outer(k, theta)) * weights * np.sin(theta)
    waves_phi = np.exp(1j * np.outer(k, phi)) * 2 * np.pi / count
    return np.einsum("ut,vf,tfc->cuv", waves_theta, waves_phi, table(L, theta, phi), optimize=True)
